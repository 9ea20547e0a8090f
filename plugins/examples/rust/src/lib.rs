//! What wrong decisions cost, over all rows and by group.

use serde::{Deserialize, Deserializer};
use so8t_plugin_sdk::{About, Direction, Failure, Labels, Metric, MetricInfo, Rows, Value, Wants};
use so8t_plugin_sdk::{about, counts, export_metric};

/// The largest cost of a row, and the most groups that are told apart.
const MAX_COST: u32 = 1_000_000;
const MAX_GROUPS: usize = 64;
/// The largest sum: with one more row it is still below 2^53, so that every language counts it exactly.
const MAX_SUM: u64 = 1 << 52;

/// The manifest's `config` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default, deserialize_with = "given")]
    costs: Option<Vec<Vec<u32>>>,
    #[serde(default = "four")]
    groups: usize,
}

/// A value that may be left out, but not be null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

fn four() -> usize {
    4
}

/// For each of the first groups, and for all others together, the cost and the weight of its rows.
pub struct WeightedError {
    /// Gold labels by row, predicted labels by column, INVALID last.
    costs: Vec<Vec<u32>>,
    /// Cost and weight of group 0, of group 1, and so on.
    sums: Vec<u64>,
    /// Cost and weight of all rows.
    all: [u64; 2],
}

export_metric!(WeightedError);

impl Metric for WeightedError {
    type Config = Config;
    const ABOUT: About = about!(
        "weighted-error",
        r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "costs": {
                    "type": "array",
                    "items": { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 1000000 } },
                    "description": "For every gold label, by id: what each prediction costs, by id, and last what INVALID costs; 0 where it is right and 1 elsewhere unless said"
                },
                "groups": { "type": "integer", "minimum": 0, "maximum": 64, "description": "How many groups are told apart; 4 unless said" }
            }
        }"#
    );

    fn open(config: Config, labels: Labels) -> Result<Self, Failure> {
        let count = labels.count();
        let fail = |text: String| Err(Failure::Config(format!("config: {text}")));
        if config.groups > MAX_GROUPS {
            return fail(format!("`groups`: expected 0 to {MAX_GROUPS}"));
        }
        let by_default = || (0..count).map(|gold| (0..=count).map(|predicted| u32::from(gold != predicted)).collect());
        let costs: Vec<Vec<u32>> = config.costs.unwrap_or_else(|| by_default().collect());
        if costs.len() != count || costs.iter().any(|row| row.len() != count + 1) {
            return fail(format!("`costs`: expected {count} rows of {} numbers", count + 1));
        }
        if costs.iter().flatten().any(|&cost| cost > MAX_COST) {
            return fail(format!("`costs`: expected whole numbers from 0 to {MAX_COST}"));
        }
        Ok(Self { costs, sums: vec![0; 2 * (config.groups + 1)], all: [0, 0] })
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let high = self.costs.iter().flatten().copied().max().unwrap_or(0);
        let info = |name: String| MetricInfo {
            name,
            direction: Direction::Lower,
            low: Some(0.0),
            high: Some(f64::from(high)),
        };
        self.names().into_iter().map(info).collect()
    }

    fn wants(&self) -> Wants {
        Wants::WEIGHTS | Wants::GROUPS
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<(), Failure> {
        let last = self.sums.len() / 2 - 1;
        for (row, (gold, predicted, weight)) in rows.labelled().enumerate() {
            let costs = &self.costs[gold];
            let cost = costs[predicted.unwrap_or(costs.len() - 1)];
            let group = (rows.group(row) as usize).min(last);
            for (place, more) in [u64::from(cost) * u64::from(weight), u64::from(weight)].into_iter().enumerate() {
                self.sums[2 * group + place] += more;
                self.all[place] += more;
            }
            self.check()?;
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        counts::write(&self.sums)
    }

    fn merge(&mut self, state: &[u8]) -> Result<(), Failure> {
        counts::add(&mut self.sums, state)?;
        self.all = [0, 1].map(|place| self.sums[place..].iter().step_by(2).fold(0, |all, sum| sum.saturating_add(all)));
        self.check()
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        let groups = self.sums.as_chunks::<2>().0;
        let mean = |[cost, rows]: [u64; 2]| (rows > 0).then(|| cost as f64 / rows as f64);
        let worst = groups.iter().filter_map(|&sums| mean(sums)).reduce(f64::max);
        let fixed = [(mean(self.all), self.all[1]), (worst, self.all[1])];
        let values = fixed.into_iter().chain(groups.iter().map(|&sums| (mean(sums), sums[1])));
        Ok(self.names().into_iter().zip(values).map(|(name, (value, rows))| Value::new(name, value, rows)).collect())
    }
}

impl WeightedError {
    fn names(&self) -> Vec<String> {
        let last = self.sums.len() / 2 - 1;
        let fixed = ["cost".to_owned(), "cost_worst_group".to_owned()];
        let groups = (0..last).map(|group| format!("group.{group}.cost"));
        fixed.into_iter().chain(groups).chain(["group.other.cost".to_owned()]).collect()
    }

    fn check(&self) -> Result<(), Failure> {
        match self.all.iter().any(|&sum| sum > MAX_SUM) {
            true => Err(Failure::Input(format!("the costs or weights sum up to more than {MAX_SUM}"))),
            false => Ok(()),
        }
    }
}
