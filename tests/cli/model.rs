//! `so8t model params`.

use std::path::Path;

use serde_json::Value;

use super::{outcome, so8t};

fn params(targets: &str, json: bool) -> (String, String, i32) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut arguments = vec![
        "model",
        "params",
        "--config",
        "tests/model/phi-3.5-mini-config.json",
        "--rank",
        "64",
        "--targets",
        targets,
    ];
    if json {
        arguments.push("--json");
    }
    outcome(&so8t(root, &arguments))
}

#[test]
fn the_published_numbers_come_out() {
    let (stdout, stderr, code) = params("o_proj,down_proj", true);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["trainable"], 35_651_584u64);
    assert_eq!(report["total"], 3_856_731_136u64);
    let (stdout, _, _) = params("qkv_proj,o_proj,gate_up_proj,down_proj", true);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["trainable"], 100_663_296u64);
    let (stdout, _, code) = params("o_proj,down_proj", false);
    assert!(code == 0 && stdout.contains("35651584"), "{stdout}");
}

#[test]
fn a_target_that_matches_nothing_is_an_error_that_lists_what_does() {
    let (stdout, stderr, code) = params("w_proj,o_proj", true);
    assert_eq!(code, 1, "{stderr}");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told["schema"], "so8t.error/1");
    for part in ["`w_proj`", "qkv_proj", "gate_up_proj"] {
        assert!(stderr.contains(part) && stdout.contains(part), "{stderr}");
    }
}

#[test]
fn a_level_of_instructions_is_chosen_by_name_and_refused_where_it_is_none() {
    use so8t::kernels::gemm::instructions::Instructions;
    let at = |level: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_so8t"))
            .args(["model", "params", "--config", "none.json", "--rank", "1", "--targets", "q_proj"])
            .env("SO8T_INSTRUCTIONS", level)
            .output()
            .expect("so8t starts");
        outcome(&output)
    };
    for level in ["fast", "", "AVX2", "amx"] {
        let (stdout, stderr, code) = at(level);
        assert_eq!((stdout.as_str(), code), ("", 1), "{stderr}");
        let expected = "error: SO8T_INSTRUCTIONS: expected one of `plain`, `avx2`, `avx512`, `avx512bf16`, found ";
        assert_eq!(stderr.trim_end(), format!("{expected}`{level}`"));
    }
    for level in Instructions::ALL {
        let (_, stderr, code) = at(level.name());
        let lacks = level > Instructions::detected();
        assert_eq!(stderr.contains("SO8T_INSTRUCTIONS"), lacks, "{stderr}");
        // A level that the processor has leads to the next error.
        assert!(code == 1 && stderr.contains("none.json") != lacks, "{stderr}");
    }
}
