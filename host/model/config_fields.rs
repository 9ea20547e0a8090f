//! The fields of a `config.json`, by class: which its class of Transformers reads, and which change nothing.

use super::allowed::{Known, Says};

/// Fields of every class.
pub const COMMON: Known = &[
    (
        Says::Read,
        &[
            "architectures",
            "attention_bias",
            "bos_token_id",
            "eos_token_id",
            "head_dim",
            "hidden_act",
            "hidden_size",
            "intermediate_size",
            "max_position_embeddings",
            "mlp_bias",
            "model_type",
            "num_attention_heads",
            "num_hidden_layers",
            "num_key_value_heads",
            "original_max_position_embeddings",
            "partial_rotary_factor",
            "rms_norm_eps",
            "rope_parameters",
            "rope_scaling",
            "rope_theta",
            "sliding_window",
            "tie_word_embeddings",
            "vocab_size",
        ],
    ),
    // Where the file comes from, how it is loaded, and in which precision.
    (
        Says::Nothing,
        &[
            // Private to whoever wrote the file, as `_name_or_path`.
            "_*",
            "attn_implementation",
            "auto_map",
            "comment",
            "custom_pipelines",
            "description",
            "dtype",
            "is_decoder",
            "is_llama_config",
            "license",
            "model_name",
            "name_or_path",
            "params_dtype",
            "tokenizer_class",
            "torch_dtype",
            "transformers.js_config",
            "transformers_version",
            "unsloth_*",
            "use_flash_attention*",
            "use_flash_attn*",
        ],
    ),
    // What is for training, for caching and for other heads.
    (
        Says::Nothing,
        &[
            "attention_dropout",
            "attn_pdrop",
            "chunk_size_feed_forward",
            "classifier_dropout",
            "embd_pdrop",
            "finetuning_task",
            "gradient_checkpointing",
            "hidden_dropout",
            "id2label",
            "initializer_range",
            "label2id",
            "max_seq_len",
            "max_seq_length",
            "max_sequence_length",
            "model_max_length",
            "neftune_noise_alpha",
            "num_labels",
            "output_attentions",
            "output_hidden_states",
            "pretraining_tp",
            "problem_type",
            "resid_pdrop",
            "return_dict",
            "task_specific_params",
            "tokenizer_model_max_length",
            "tokenizer_padding_side",
            "torchscript",
            "use_bfloat16",
            "use_cache",
        ],
    ),
    // Tokens that stand in no prompt of themselves.
    (
        Says::Nothing,
        &[
            "decoder_start_token_id",
            "pad_token_id",
            "sep_token_id",
            "unk_token_id",
            "bos_token",
            "eos_token",
            "pad_token",
        ],
    ),
    // Defaults of generation that files of old versions hold; answers are generated greedily.
    (
        Says::Nothing,
        &[
            "begin_suppress_tokens",
            "diversity_penalty",
            "do_sample",
            "early_stopping",
            "exponential_decay_length_penalty",
            "length_penalty",
            "max_length",
            "max_new_tokens",
            "min_length",
            "num_beam_groups",
            "num_beams",
            "num_return_sequences",
            "output_scores",
            "prefix",
            "remove_invalid_values",
            "return_dict_in_generate",
            "temperature",
            "top_k",
            "top_p",
            "typical_p",
        ],
    ),
    (
        Says::NothingAt(&["0", "0.0", "1", "1.0"]),
        &["repetition_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"],
    ),
    // Other networks than those that are implemented.
    (
        Says::NothingAt(&[]),
        &[
            "add_cross_attention",
            "bad_words_ids",
            "cross_attention_hidden_size",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "is_encoder_decoder",
            "lm_head_bias",
            "pruned_heads",
            "quantization_config",
            "rope_interleaved",
            "suppress_tokens",
            "tie_encoder_decoder",
        ],
    ),
];

/// Fields that files of Llama and Mistral may hold and their classes do not read.
pub const LLAMA: Known = &[(Says::Nothing, &["max_window_layers", "use_sliding_window"])];

/// Fields of Qwen 2 and 3.
pub const QWEN: Known = &[(Says::Read, &["layer_types", "max_window_layers", "use_sliding_window"])];

/// Fields of Gemma 1.
pub const GEMMA: Known = &[
    // The newer classes read the other name; files of the old ones say this in both.
    (Says::NothingAt(&["\"gelu_pytorch_tanh\""]), &["hidden_activation"]),
    (Says::NothingAt(&[]), &["use_bidirectional_attention"]),
];

/// Fields of Gemma 2.
pub const GEMMA2: Known = &[
    (
        Says::Read,
        &[
            "attn_logit_softcapping",
            "final_logit_softcapping",
            "hidden_activation",
            "layer_types",
            "query_pre_attn_scalar",
        ],
    ),
    // Its files say the window twice, and no code reads the second.
    (Says::Nothing, &["cache_implementation", "sliding_window_size"]),
    (Says::NothingAt(&[]), &["use_bidirectional_attention"]),
];

/// Fields of Gemma 3, the text models.
pub const GEMMA3: Known = &[
    (
        Says::Read,
        &[
            "final_logit_softcapping",
            "hidden_activation",
            "layer_types",
            "query_pre_attn_scalar",
            "rope_local_base_freq",
            "sliding_window_pattern",
        ],
    ),
    (Says::Nothing, &["cache_implementation"]),
    // The class takes the cap of scores and never applies it, while other readers do.
    (Says::NothingAt(&[]), &["attn_logit_softcapping", "use_bidirectional_attention"]),
];

/// Fields of Granite.
pub const GRANITE: Known = &[
    (Says::Read, &["attention_multiplier", "embedding_multiplier", "logits_scaling", "residual_multiplier"]),
    (Says::Nothing, &["max_window_layers", "use_sliding_window"]),
];

/// Fields of SmolLM 3.
pub const SMOLLM3: Known = &[
    (Says::Read, &["layer_types", "no_rope_layer_interval", "no_rope_layers", "use_sliding_window"]),
    (Says::Nothing, &["max_window_layers"]),
];

/// Fields of OLMo 2.
pub const OLMO2: Known = &[];

/// Fields of Phi-3.
pub const PHI3: Known = &[
    (Says::Nothing, &["max_window_layers", "use_sliding_window"]),
    // Phi-4-mini's files hold them, and no code reads them.
    (Says::NothingAt(&["1", "1.0"]), &["full_attn_mod", "interpolate_factor"]),
];

/// Fields of `rope_scaling` and `rope_parameters`, by type.
pub fn rope(kind: &str) -> Known {
    match kind {
        "linear" => &[(Says::Read, &["rope_type", "type", "rope_theta", "partial_rotary_factor", "factor"])],
        // Where `max_position_embeddings` stand, which decide, the file's own number before stretching is not looked at.
        "dynamic" => &[
            (Says::Read, &["rope_type", "type", "rope_theta", "partial_rotary_factor", "factor"]),
            (Says::Nothing, &["original_max_position_embeddings"]),
        ],
        "llama3" => &[(
            Says::Read,
            &[
                "rope_type",
                "type",
                "rope_theta",
                "partial_rotary_factor",
                "factor",
                "low_freq_factor",
                "high_freq_factor",
                "original_max_position_embeddings",
            ],
        )],
        "longrope" => &[(
            Says::Read,
            &[
                "rope_type",
                "type",
                "rope_theta",
                "partial_rotary_factor",
                "factor",
                "attention_factor",
                "long_factor",
                "short_factor",
                "original_max_position_embeddings",
            ],
        )],
        "yarn" => &[
            (
                Says::Read,
                &[
                    "rope_type",
                    "type",
                    "rope_theta",
                    "partial_rotary_factor",
                    "factor",
                    "attention_factor",
                    "beta_fast",
                    "beta_slow",
                    "mscale",
                    "mscale_all_dim",
                    "original_max_position_embeddings",
                    "truncate",
                ],
            ),
            // Whether the model was trained with it.
            (Says::Nothing, &["finetuned"]),
        ],
        _ => &[(Says::Read, &["rope_type", "type", "rope_theta", "partial_rotary_factor"])],
    }
}

/// The fields of a `generation_config.json` that no generated answer hangs on here: the tokens that end it are read, and the likeliest token is
/// taken at each step.
pub const GENERATION: Known = &[
    (Says::Read, &["bos_token_id", "eos_token_id", "pad_token_id"]),
    (
        Says::Nothing,
        &[
            "_from_model_config",
            "assistant_*",
            "cache_config",
            "cache_implementation",
            "chat_format",
            "compile_config",
            "decoder_start_token_id",
            "disable_compile",
            "do_sample",
            "early_stopping",
            "epsilon_cutoff",
            "eta_cutoff",
            "is_assistant",
            "length_penalty",
            "low_memory",
            "max_length",
            "max_matching_ngram_size",
            "max_new_tokens",
            "max_time",
            "max_window_size",
            "min_p",
            "num_assistant_tokens*",
            "num_beam_groups",
            "num_return_sequences",
            "output_*",
            "prompt_lookup_num_tokens",
            "remove_invalid_values",
            "renormalize_logits",
            "return_dict_in_generate",
            "target_lookbehind",
            "temperature",
            "token_healing",
            "tokenizer_class",
            "top_h",
            "top_k",
            "top_p",
            "transformers_version",
            "typical_p",
            "use_cache",
            "user_token_id",
            "assistant_token_id",
        ],
    ),
    (
        Says::NothingAt(&["0", "0.0", "1", "1.0"]),
        &[
            "diversity_penalty",
            "encoder_no_repeat_ngram_size",
            "encoder_repetition_penalty",
            "guidance_scale",
            "min_length",
            "min_new_tokens",
            "no_repeat_ngram_size",
            "num_beams",
            "penalty_alpha",
            "repetition_penalty",
        ],
    ),
];

/// The fields of a `tokenizer_config.json` that change no token of a prompt: tokens are made as `tokenizer.json` says.
pub const TOKENIZER: Known = &[
    (Says::Read, &["added_tokens_decoder", "bos_token", "chat_template", "eos_token"]),
    (
        Says::Nothing,
        &[
            "*_token",
            "*_token_id",
            "*_tokens",
            "_*",
            "add_bos_token",
            "add_eos_token",
            "add_prefix_space",
            "add_dummy_prefix_space",
            "auto_map",
            "backend",
            "clean_up_tokenization_spaces",
            "device_map",
            "errors",
            "fast",
            "from_slow",
            "is_local",
            "legacy",
            "local_files_only",
            "max_length",
            "model_input_names",
            "model_max_length",
            "model_specific_special_tokens",
            "name_or_path",
            "pad_to_multiple_of",
            "pad_token_type_id",
            "padding",
            "padding_side",
            "processor_class",
            "sp_model_kwargs",
            "spaces_between_special_tokens",
            "special_tokens_map_file",
            "stride",
            "tokenizer_class",
            "tokenizer_file",
            "tool_parser_type",
            "response_schema",
            "revision",
            "truncation",
            "truncation_side",
            "truncation_strategy",
            "trust_remote_code",
            "unk_id",
            "use_default_system_prompt",
            "use_fast",
            "verbose",
            "vocab_file",
            "vocab_size",
            "merges_file",
        ],
    ),
    // Control tokens of the template would be split like any text.
    (Says::NothingAt(&[]), &["split_special_tokens"]),
];
