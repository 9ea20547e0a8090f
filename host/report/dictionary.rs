//! Every text of the report in both languages, and nothing else. Names of metrics, labels, sources and rows are not translated.
//!
//! `{name}` stands for a value that [`Text::with`] puts in.

use std::borrow::Cow;

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

/// One text in both languages. Plain text: whoever shows it escapes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    english: Cow<'static, str>,
    japanese: Cow<'static, str>,
}

impl Text {
    const fn both(english: &'static str, japanese: &'static str) -> Self {
        Self { english: Cow::Borrowed(english), japanese: Cow::Borrowed(japanese) }
    }

    /// A name, which is the same in every language.
    pub fn name(name: impl Into<String>) -> Self {
        let name: String = name.into();
        Self { english: Cow::Owned(name.clone()), japanese: Cow::Owned(name) }
    }

    /// The text in one language.
    pub fn of(&self, language: Language) -> &str {
        match language {
            Language::English => &self.english,
            Language::Japanese => &self.japanese,
        }
    }

    /// The text with each `{name}` replaced.
    pub fn with(&self, values: &[(&str, &str)]) -> Self {
        let texts: Vec<(&str, Self)> = values.iter().map(|&(name, value)| (name, Self::name(value))).collect();
        self.with_texts(&texts.iter().map(|(name, text)| (*name, text)).collect::<Vec<_>>())
    }

    /// As [`Text::with`], with values that are themselves in both languages.
    pub fn with_texts(&self, values: &[(&str, &Self)]) -> Self {
        let fill = |language| {
            filled(self.of(language), &|name| {
                values.iter().find(|(own, _)| *own == name).map(|(_, text)| text.of(language))
            })
        };
        Self { english: Cow::Owned(fill(Language::English)), japanese: Cow::Owned(fill(Language::Japanese)) }
    }

    /// This text with another right behind it.
    pub fn joined(&self, other: &Self) -> Self {
        Self {
            english: Cow::Owned(format!("{}{}", self.english, other.english)),
            japanese: Cow::Owned(format!("{}{}", self.japanese, other.japanese)),
        }
    }

    /// This text and then another; English has a space between them.
    pub fn then(&self, other: &Self) -> Self {
        let gap = if self.english.is_empty() || other.english.is_empty() { "" } else { " " };
        Self {
            english: Cow::Owned(format!("{}{gap}{}", self.english, other.english)),
            japanese: Cow::Owned(format!("{}{}", self.japanese, other.japanese)),
        }
    }
}

/// `template` with each `{name}` that `value` knows replaced once; what is put in is not looked at again.
fn filled<'a>(template: &str, value: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}').and_then(|(name, tail)| Some((value(name)?, tail))) {
            Some((text, tail)) => {
                out.push_str(text);
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

/// Declares the texts, and [`all`] with their names.
macro_rules! texts {
    ($($name:ident = $english:literal, $japanese:literal;)*) => {
        $(pub(crate) const $name: Text = Text::both($english, $japanese);)*
        /// Every text with its name.
        pub fn all() -> Vec<(&'static str, Text)> {
            vec![$((stringify!($name), $name)),*]
        }
    };
}

texts! {
    // The frame of the page.
    SKIP = "Skip to the verdict", "判定へ移動";
    SECTIONS = "Sections", "目次";
    REPORT_OF = "so8t report · {command}", "so8t レポート · {command}";
    MADE = "Made", "作成";
    SEED = "Seed", "シード";
    BEFORE = "before", "前";
    AFTER = "after", "後";
    SHOW_NUMBERS = "The numbers", "数値";
    EXAMPLES = "{n} examples", "{n} 件";
    TOO_FEW = "too few", "少数";
    KEY_BOTH = "Hollow: before. Solid: after. The thin line is the 95 % interval of the value after.", "白抜き：前。塗り：後。細線は後の値の 95 % 信頼区間。";
    KEY_MARKS = "Hollow: before. Solid: after.", "白抜き：前。塗り：後。";
    KEY_ONE = "The thin line is the 95 % interval.", "細線は 95 % 信頼区間。";

    // The verdict.
    VERDICT = "Verdict", "判定";
    NOTHING = "Nothing was evaluated.", "評価されていません。";
    ACCEPTED = "Accepted.", "採用可。";
    REFUSED = "Not accepted.", "採用不可。";
    ALL_RULES = "All {n} rules of the manifest are met.", "マニフェストの規則 {n} 件をすべて満たしています。";
    ONE_RULE = "The one rule of the manifest is met.", "マニフェストの唯一の規則を満たしています。";
    SOME_RULES = "{failed} of {n} rules of the manifest are not met.", "マニフェストの規則 {n} 件のうち {failed} 件を満たしていません。";
    BETTER_THAN = "Better than before.", "以前より良くなりました。";
    WORSE_THAN = "Worse than before.", "以前より悪くなりました。";
    MIXED_PASS = "Mixed: better overall, but more unsafe requests pass.", "一長一短：全体は改善、ただし危険な依頼の通過が増加。";
    MIXED_BLOCK = "Mixed: better overall, but more harmless requests are blocked.", "一長一短：全体は改善、ただし無害な依頼の拒否が増加。";
    WORSE_PASS = "Worse: more unsafe requests pass.", "悪化：危険な依頼の通過が増加。";
    NO_CLEAR = "No clear change.", "明確な変化はありません。";
    WORSE_BLOCK = "Worse: more harmless requests are blocked.", "悪化：無害な依頼の拒否が増加。";
    BETTER_PASS = "Better: fewer unsafe requests pass.", "改善：危険な依頼の通過が減少。";
    MIXED_TRADE = "Mixed: fewer unsafe requests pass, but more harmless requests are blocked.", "一長一短：危険な依頼の通過は減少、ただし無害な依頼の拒否が増加。";
    PERHAPS_PASS = "Perhaps worse: more unsafe requests passed than before.", "悪化の可能性：危険な依頼の通過が以前より増加。";
    MIXED_PERHAPS = "Better overall, but perhaps more unsafe requests pass.", "全体は改善、ただし危険な依頼の通過が増加した可能性があります。";
    FEW_PASS = "Too few examples for a verdict; of these, more unsafe ones passed than before.", "判定には件数が足りません。その中で危険な依頼の通過は以前より増加。";
    ACCEPTED_WITH = "Accepted, with {n} warnings.", "採用可（警告 {n} 件）。";
    ACCEPTED_WITH_ONE = "Accepted, with one warning.", "採用可（警告 1 件）。";
    BY_THE_RULES = "The rules do not say it, but:", "規則には含まれませんが：";
    OF_UNSAFE = "Of 100 unsafe requests about {about} would pass ({low} to {high})", "危険な依頼 100 件のうち約 {about} 件が通過します（{low} 〜 {high} 件）";
    OF_UNSAFE_BOUND = "Of 100 unsafe requests about {about} would pass (95 % sure: at most {high})", "危険な依頼 100 件のうち約 {about} 件が通過します（95 % の確からしさで {high} 件以下）";
    OF_UNSAFE_PLAIN = "Of 100 unsafe requests about {about} would pass", "危険な依頼 100 件のうち約 {about} 件が通過します";
    OF_ESCALATED_PLAIN = "Of 100 requests for a person about {about} would be answered without one", "人に回すべき依頼 100 件のうち約 {about} 件がそのまま回答されます";
    FEW_UNSAFE = "{passed} of {n} unsafe requests passed: too few to say how many of 100 would.", "危険な依頼 {n} 件のうち {passed} 件が通過：100 件あたりを言うには少なすぎます。";
    OF_ESCALATED = "Of 100 requests for a person about {about} would be answered without one ({low} to {high})", "人に回すべき依頼 100 件のうち約 {about} 件がそのまま回答されます（{low} 〜 {high} 件）";
    OF_ESCALATED_BOUND = "Of 100 requests for a person about {about} would be answered without one (95 % sure: at most {high})", "人に回すべき依頼 100 件のうち約 {about} 件がそのまま回答されます（95 % の確からしさで {high} 件以下）";
    FEW_ESCALATED = "{passed} of {n} requests for a person were answered without one: too few to say how many of 100 would.", "人に回すべき依頼 {n} 件のうち {passed} 件がそのまま回答：100 件あたりを言うには少なすぎます。";
    WAS_ABOUT = "; before, about {was}.", "。以前は約 {was} 件。";
    PROMPT = "Prompt", "プロンプト";
    SYSTEM_PROMPT = "System prompt", "システムプロンプト";
    NO_SYSTEM_PROMPT = "There is no system prompt: the model was told nothing of the labels.", "システムプロンプトはありません。モデルにはラベルについて何も伝えられていません。";
    RENDERED_PROMPT = "A rendered prompt, and the tokens of the labels", "組み立てたプロンプトとラベルのトークン";
    MEASURED = "Measured", "評価対象";
    MORE_WARNINGS = "{n} more", "ほか {n} 件";
    FEW_VERDICT = "Too few examples for a verdict.", "判定には件数が足りません。";
    EVALUATED = "Evaluated.", "評価済み。";
    ROSE = "{title} rose from {was} to {is}", "{title} は {was} から {is} に上昇";
    FELL = "{title} fell from {was} to {is}", "{title} は {was} から {is} に低下";
    STAYED = "{title} stayed at {is}", "{title} は {is} のまま";
    IS = "{title} is {is}", "{title} は {is}";
    DIFFERENCE_INTERVAL = "(difference {delta}, 95 % interval {low} to {high}).", "（差 {delta}、95 % 信頼区間 {low} 〜 {high}）。";
    DIFFERENCE = "(difference {delta}).", "（差 {delta}）。";
    INTERVAL_IS = "(95 % interval {low} to {high}).", "（95 % 信頼区間 {low} 〜 {high}）。";
    STOP = ".", "。";
    RULE = "Rule", "規則";
    MET = "met", "達成";
    JUDGED_INTERVAL = "95 % interval judged", "判定した 95 % 信頼区間";
    NOT_MET = "not met", "未達";
    SEE_WARNINGS = "{n} warnings to read before believing the numbers", "数値を信じる前に読むべき警告 {n} 件";
    SEE_WARNING = "One warning to read before believing the numbers", "数値を信じる前に読むべき警告 1 件";

    // Headline values.
    HEADLINES = "Headline values", "主要な値";
    F1_MACRO = "Macro-F1", "マクロ F1";
    F1_MACRO_MEANING = "mean F1 over all declared classes; higher is better", "宣言された全クラスの F1 の平均。高いほど良い";
    F1_OBSERVED = "Macro-F1 (observed classes)", "マクロ F1（出現クラス）";
    F1_OBSERVED_MEANING = "mean F1 over the classes that occur; higher is better", "出現したクラスの F1 の平均。高いほど良い";
    UNSAFE_PASS = "Unsafe pass rate", "危険通過率";
    UNSAFE_PASS_MEANING = "unsafe requests that were answered normally; lower is better", "通常どおり回答された危険な依頼の割合。低いほど良い";
    OVER_BLOCK = "Over-block rate", "過剰拒否率";
    OVER_BLOCK_MEANING = "harmless requests that were not answered normally; lower is better", "通常どおり回答されなかった無害な依頼の割合。低いほど良い";
    ESCALATION_PASS = "Escalation pass rate", "要対応通過率";
    ESCALATION_PASS_MEANING = "requests for a person (ESCALATION) that were answered normally; lower is better", "人に回すべき（ESCALATION）のに通常どおり回答された依頼の割合。低いほど良い";
    ACCURACY = "Accuracy", "正解率";
    ACCURACY_MEANING = "decisions that equal the gold label; higher is better", "正解ラベルと一致した判断の割合。高いほど良い";
    BETTER = "better", "改善";
    WORSE = "worse", "悪化";
    UNSURE = "unsure", "不明確";
    DIFFERENCE_OF = "Difference", "差";
    INTERVAL_95 = "95 %: {low} to {high}", "95 %：{low} 〜 {high}";
    VALUE_INTERVAL = "95 % interval {low} to {high}", "95 % 信頼区間 {low} 〜 {high}";
    BY_METHOD = "{n} rows · {method}", "{n} 件 · {method}";
    ROWS = "{n} rows", "{n} 件";
    FEW_ROWS = "only {n} rows: below the support that a headline needs", "{n} 件のみ：主要な値に必要な件数に達していません";
    BOOTSTRAP = "bootstrap", "ブートストラップ法";
    CLUSTERED = "clustered bootstrap", "クラスター・ブートストラップ法";
    EXACT = "Clopper–Pearson", "クロッパー・ピアソン法";
    SURE_AT_MOST = "95 % sure that it is at most {bound}", "95 % の確からしさで {bound} 以下";
    SURE_AT_LEAST = "95 % sure that it is at least {bound}", "95 % の確からしさで {bound} 以上";

    // Confusion matrices.
    CONFUSION = "Confusion matrices", "混同行列";
    CONFUSION_NOTE = "Rows are the gold labels, columns the decisions. Each cell has the count and its share of the row; the fuller the shade, the larger the share. Outlined and ticked: right.", "行は正解ラベル、列は判断です。各セルは件数と行内の割合で、濃いほど割合が大きくなります。枠と✓は正解です。";
    CONFUSION_PASS = "Marked with !: an unsafe request that was answered normally.", "！は通常どおり回答された危険な依頼です。";
    COUNTS = "Counts", "件数";
    GOLD_DECISION = "gold ↓ decision →", "正解 ↓ 判断 →";

    // By class, by source.
    BY_CLASS = "By class", "クラス別";
    CLASS = "Class", "クラス";
    F1 = "F1", "F1";
    F1_MEANING = "harmonic mean of the two", "適合率と再現率の調和平均";
    PRECISION = "Precision", "適合率";
    PRECISION_MEANING = "share of these decisions that are right", "その判断のうち正しい割合";
    RECALL = "Recall", "再現率";
    RECALL_MEANING = "share of this class that is found", "そのクラスのうち見つけた割合";
    BY_SOURCE = "By source", "データ源別";
    SOURCE = "Source", "データ源";

    // The threshold.
    THRESHOLD = "Threshold", "しきい値";
    THRESHOLD_NOTE = "What would happen if a single threshold decided: a request passes where its unsafe score (the probability of all labels but {safe}) is below the threshold. The crosses are the decisions as they were made.", "単一のしきい値で決めた場合の結果です。危険スコア（{safe} 以外の全ラベルの確率）がしきい値未満なら通過します。×は実際の判断です。";
    THRESHOLD_INPUT = "Pass below an unsafe score of", "通過させる危険スコアの上限";
    TRADE_OFF = "Trade-off", "トレードオフ";
    RATES = "Rates at each threshold", "しきい値ごとの割合";
    OVER_BLOCK_AXIS = "over-block rate (share of harmless requests)", "過剰拒否率（無害な依頼に占める割合）";
    UNSAFE_PASS_AXIS = "unsafe pass rate (share of unsafe requests)", "危険通過率（危険な依頼に占める割合）";
    THRESHOLD_AXIS = "threshold of the unsafe score", "危険スコアのしきい値";
    SHARE_AXIS = "share of requests", "依頼の割合";
    UNSAFE_PASS_LINE = "unsafe pass", "危険通過";
    OVER_BLOCK_LINE = "over-block", "過剰拒否";
    AS_DECIDED = "as decided", "実際の判断";
    AT_THRESHOLD = "At threshold {t}", "しきい値 {t} のとき";

    // Reliability.
    RELIABILITY = "Reliability", "信頼度の較正";
    RELIABILITY_NOTE = "Decisions in bins of the model’s confidence. On the diagonal, confidence and accuracy agree; below it the model is too sure of itself. Larger marks hold more rows.", "モデルの確信度で区切った判断です。対角線上では確信度と正解率が一致し、その下では自信過剰です。印が大きいほど件数が多くなります。";
    CONFIDENCE_AXIS = "mean confidence of the bin", "区間の平均確信度";
    ACCURACY_AXIS = "accuracy of the bin", "区間の正解率";
    ROWS_AXIS = "rows in each bin", "区間ごとの件数";
    BIN = "Bin", "区間";
    COUNT = "Count", "件数";
    CONFIDENCE = "Confidence", "確信度";
    TOO_SURE = "too sure", "自信過剰";
    TOO_MODEST = "too modest", "自信不足";
    FITTED = "Fitted on {n} rows of the calibration split, which is no part of the evaluation: temperature {t}; log loss {was} → {is} on that split.", "評価に含まれない較正用データ {n} 件で調整：温度 {t}。そのデータでの対数損失 {was} → {is}。";
    FITTED_THRESHOLDS = "Added to each label’s log score", "各ラベルの対数スコアへの加算";

    // Flips.
    FLIPS = "Changed decisions", "変わった判断";
    FLIPS_NOTE = "{right} decisions went from wrong to right, {wrong} from right to wrong. If neither model were better, a split at least as uneven would have probability p {p}", "誤りから正解へ {right} 件、正解から誤りへ {wrong} 件。どちらのモデルも優れていないとすると、これ以上偏る確率は p {p}";
    MCNEMAR = "(McNemar’s exact test, rows taken as independent).", "（マクネマーの正確検定、各行は独立と仮定）。";
    NO_FLIPS = "No decision changed.", "変わった判断はありません。";
    WORSENED = "worsened", "悪化";
    SIDEWAYS = "sideways", "同等";
    IMPROVED = "improved", "改善";
    WORSENED_MEANING = "a graver mistake than before", "以前より重い誤り";
    SIDEWAYS_MEANING = "another mistake, as grave", "同じ重さの別の誤り";
    IMPROVED_MEANING = "a lesser mistake, or none", "軽い誤り、または正解";
    LANGUAGE = "Language", "言語";
    BY_LANGUAGE = "By language", "言語別";
    BY_LENGTH = "By length", "長さ別";
    BY_CATEGORY = "By category", "カテゴリー別";
    CHANGE = "Change", "変化";
    ALL = "all", "すべて";
    GOLD = "Gold", "正解";
    ROW = "Row", "行";
    DECISION_BEFORE = "Before", "前";
    DECISION_AFTER = "After", "後";
    REQUEST = "Request", "依頼文";
    SHOW_REQUEST = "show", "表示";
    CHARACTERS = "{language} · {n} characters", "{language} · {n} 文字";
    CUT = "… {n} more characters", "… 残り {n} 文字";
    SHOWN_OF = "{shown} of {n} shown", "{n} 件中 {shown} 件を表示";
    MORE_FLIPS = "{n} more are in report.json.", "残り {n} 件は report.json にあります。";
    HOSTILE = "Requests may be hostile or distressing: each is shown only where you open it.", "依頼文には有害・不快な内容が含まれることがあります。開いた行だけに表示されます。";

    // Training.
    TRAINING = "Training", "学習";
    LOSS_AXIS = "loss (nats a completion token)", "損失（完了トークンあたりのナット）";
    STEP_AXIS = "step", "ステップ";
    LOSS_TITLE = "Training loss from step {first} to step {last}: it starts at {start} and ends at {end}", "ステップ {first} から {last} までの学習損失：{start} に始まり {end} に終わる";
    LOSS_KEY = "Thin: each step. Bold: the mean of the steps around it.", "細線：各ステップ。太線：前後のステップの平均。";

    VALIDATION_TITLE = "{metric} on the validation part: {base} before training, {kept} after step {step}, which is kept", "検証用データでの {metric}：学習前 {base}、採用したステップ {step} で {kept}";
    VALIDATION_NONE = "{metric} on the validation part: nothing could be kept", "検証用データでの {metric}：採用できるものなし";
    VALIDATION_KEY = "Dashed: the base model. Full dot: what is kept.", "破線：学習前のモデル。塗りつぶした点：採用したもの。";
    VALIDATION_REFUSED = "Cross: it breaks a guard, and is never kept.", "×印：ガードを満たさず、採用されない。";
    VALIDATION_STATE = "State", "状態";
    VALIDATION_BASE = "base model", "学習前";
    VALIDATION_KEPT = "kept", "採用";
    VALIDATION_BROKEN = "breaks a guard", "ガード違反";

    // Data and contamination.
    DATA = "Data", "データ";
    DATA_NOTE = "Accepted = training + evaluation + duplicates + straddling (training examples whose group is evaluated) + what was dropped. The bars of the sources share one scale; a full bar in the last line is all of that part.", "採用 = 学習 + 評価 + 重複 + またがり（評価されるグループに属する学習例）+ 除去。データ源の棒は共通の目盛り、最後の行の棒はその全体です。";
    USE = "Use", "用途";
    RECORDS = "Records", "レコード";
    ACCEPTED_COUNT = "Accepted", "採用";
    REJECTED = "Rejected", "却下";
    EXCLUDED = "Excluded", "除外";
    DUPLICATES = "Duplicates", "重複";
    STRADDLING = "Straddling", "またがり";
    TRAIN_PART = "Training examples", "学習例";
    EVAL_PART = "Evaluation examples", "評価例";
    TOTAL = "All", "全体";
    DATA_PROVENANCE = "Provenance and licences", "来歴とライセンス";
    LICENCE = "Licence", "ライセンス";
    ORIGIN = "Origin", "入手元";
    COLLECTED = "Collected", "収集日";
    TERMS = "Terms", "利用条件";
    NOT_STATED = "not stated", "記載なし";
    DETECTION_ONLY = "detection only", "検出専用";
    DATA_POLICY = "Personal data and secrets", "個人情報と秘密情報";
    DATA_POLICY_NOTE = "Counts of requests and outputs; the values themselves were never stored. {n} ids, groups or categories were renamed.", "依頼文と出力での件数です。値そのものは保存されません。ID・グループ・カテゴリー {n} 件を改名しました。";
    ACTION = "Action", "処置";
    FOUND = "Found", "検出数";
    DROPPED = "Dropped", "除去";
    DATA_QUALITY = "Quality gates", "品質ゲート";
    GATE = "Gate", "ゲート";
    MEASURED_SHARE = "Share", "割合";
    EXPECTED = "Expected", "期待値";
    OUTCOME = "Outcome", "結果";
    PASSED = "passed", "合格";
    WARNED = "warning", "警告";
    FAILED = "failed", "不合格";
    CONTAMINATION = "Contamination", "データ汚染";
    CLEAN = "No evaluation request stands in the training data, exactly, normalised or nearly.", "評価用の依頼文は学習データに含まれていません（完全一致・正規化一致・近似のいずれも）。";
    OVERLAPS = "{n} evaluation requests stand in the training data, exactly, normalised or nearly.", "評価用の依頼文 {n} 件が学習データに含まれています（完全一致・正規化一致・近似）。";
    POLICY_WARN = "Policy: warn. They are still part of the evaluation.", "方針：警告。評価には含まれたままです。";
    POLICY_DROP = "Policy: drop. They were taken out of the evaluation.", "方針：除去。評価から除かれました。";
    POLICY_FAIL = "Policy: fail.", "方針：失敗とする。";
    EXACTLY = "Exact", "完全一致";
    NORMALISED = "Normalised", "正規化一致";
    NEARLY = "Near (MinHash)", "近似（MinHash）";
    PAIRS = "The first {n} pairs", "最初の {n} 組";
    EVAL_ROW = "Evaluation row", "評価の行";
    TRAIN_ROW = "Training row", "学習の行";
    KIND = "Kind", "種類";
    SIMILARITY = "Similarity", "類似度";

    // All values.
    METRIC_FAILED = "The metric {metric}{place} failed, and none of its values is in this report:", "指標 {metric}{place} は失敗し、その値はこのレポートにありません：";
    ALL_VALUES = "All values", "すべての値";
    ALL_VALUES_NOTE = "Every value that a metric plugin gave, whether or not this page knows it. {n} values that stand in the matrices and charts above are left out.", "このページが知らないものも含め、指標プラグインが返したすべての値です。上の行列と図にある {n} 件は省いています。";
    SHOW_ALL = "{n} values", "{n} 件の値";
    METRIC = "Metric", "指標";
    VALUE = "Value", "値";
    INTERVAL = "95 % interval", "95 % 信頼区間";
    INTERVAL_OF_DIFFERENCE = "95 % interval of the difference", "差の 95 % 信頼区間";
    COUNT_N = "n", "n";
    METHOD = "Method", "方法";

    // Limits and warnings.
    LIMITS = "Limits and warnings", "限界と警告";
    NO_WARNINGS = "No warnings.", "警告はありません。";
    LIMIT_GOLD = "Every number measures agreement with the gold labels of the evaluation part. Where those are wrong or one-sided, so are the numbers.", "すべての数値は評価データの正解ラベルとの一致度です。ラベルが誤りや偏りを含めば、数値も同様です。";
    LIMIT_INTERVAL = "Intervals cover 95 % and speak of the draw of examples alone, not of the labels, the seed or what users will ask tomorrow. Bootstrap: percentile intervals of seeded resamples, whole groups at a time where rows share a group. Clopper–Pearson: exact for shares of independent rows.", "区間は 95 % で、例の抽出のばらつきだけを表し、ラベルやシード、将来の依頼は表しません。ブートストラップ法：シード付き再標本のパーセンタイル区間（グループがあればグループ単位）。クロッパー・ピアソン法：独立な行の割合に対する正確な区間。";
    LIMIT_PAIRED = "Differences pair the same {n} resamples of both evaluations.", "差は両評価の同じ {n} 個の再標本を対にして求めています。";
    LIMIT_NONE = "There is no interval where it would mislead: where all resamples gave one value, or where too many gave none. A dash (–) is a value that is not defined, never 0.", "誤解を招く場合（全再標本が同じ値、または多くが値なし）は区間を示しません。ダッシュ（–）は未定義の値で、0 ではありません。";
    LIMIT_FEW = "“Too few”: the value rests on fewer rows than the manifest’s min_support and must not be relied on.", "「少数」：マニフェストの min_support より少ない行に基づく値で、頼ってはいけません。";
    LIMIT_INVALID = "INVALID is an answer that is no label; it counts as wrong for every class.", "INVALID はどのラベルでもない回答で、すべてのクラスで誤りと数えます。";
    LIMIT_MANY = "Many values are compared at once: one interval in twenty leaves the truth out.", "多くの値を同時に比べています。区間 20 個に 1 個は真の値を外します。";

    // Digests and repetition.
    REPEAT = "Repeat and verify", "再現と検証";
    REPEAT_NOTE = "These commands give the same numbers again. The digests (SHA-256) say from what.", "以下のコマンドで同じ数値が得られます。ダイジェスト（SHA-256）は何から得たかを示します。";
    DIGESTS_ONLY = "The digests (SHA-256) say from what the numbers were computed.", "ダイジェスト（SHA-256）は数値が何から計算されたかを示します。";
    DIGESTS = "Digests", "ダイジェスト";
}
