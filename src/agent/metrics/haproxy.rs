//! What HAProxy has told at one moment, as metrics. Pure.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode_registry},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::table::{CERTIFICATE, LISTENER, MEMBER, Measure, OLD_WORKERS, POOL, PROCESS, UP, VERSION, Value};
use crate::{
    agent::{
        naming,
        protocol::MemberState,
        sight::{Sight, Tenants},
    },
    clients::haproxy::{Column, Information, Kind, Line, Numbers},
    telemetry::metrics::Row,
};

/// The columns of responses by the class of their code.
const CODES: [(&str, Column); 6] = [
    ("1xx", Column::Hrsp1xx),
    ("2xx", Column::Hrsp2xx),
    ("3xx", Column::Hrsp3xx),
    ("4xx", Column::Hrsp4xx),
    ("5xx", Column::Hrsp5xx),
    ("other", Column::HrspOther),
];

/// What was read for one scrape.
#[derive(Debug, Default)]
pub struct Reading {
    information: Option<Information>,
    old_workers: Option<u64>,
    listeners: Vec<Subject>,
    pools: Vec<Subject>,
    members: Vec<Subject>,
    certificates: Vec<(String, i64)>,
}

type Labels = Vec<(&'static str, String)>;

/// A listener, pool or member.
#[derive(Debug)]
struct Subject {
    labels: Labels,
    state: MemberState,
    up: bool,
    numbers: Numbers,
    /// What had been counted before it was this one's.
    before: Option<Numbers>,
}

impl Reading {
    /// What a worker, if any answered, and its master have told. `ends` are those of certificates, by file.
    #[must_use]
    pub fn new(
        sight: Option<&Sight>,
        tenants: &Tenants,
        old_workers: Option<u64>,
        ends: &BTreeMap<String, Timestamp>,
    ) -> Self {
        let Some(sight) = sight else { return Self { old_workers, ..Self::default() } };
        let lines = |kind| sight.snapshot.statistics.iter().filter(move |line| line.kind == kind);
        let listeners = lines(Kind::Frontend).filter_map(|line| {
            let labels = vec![("listener", naming::listener(&line.proxy)?.to_owned())];
            Some(Subject::new(labels, line, line.status == "OPEN", None))
        });
        let pools = lines(Kind::Backend).map(|line| {
            let up = line.member_state() == MemberState::Up;
            Subject::new(of_pool(line), line, up, None)
        });
        // One that was just started counts from nothing.
        let moved = tenants.are_of(sight);
        let members = sight.members().map(|(name, line)| {
            let mut labels = of_pool(line);
            labels.push(("member", name.to_owned()));
            let up = matches!(line.member_state(), MemberState::Up | MemberState::NoMonitor);
            Subject::new(labels, line, up, tenants.before(line).filter(|_| moved))
        });
        let secrets = ends.iter().filter_map(|(file, end)| Some((naming::secret(file)?.to_owned(), end.as_second())));
        Self {
            information: Some(sight.snapshot.information.clone()),
            old_workers,
            listeners: listeners.collect(),
            pools: pools.collect(),
            members: members.collect(),
            certificates: secrets.collect(),
        }
    }

    /// Whether a worker has answered.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.information.is_some()
    }

    /// Adds all of it, without the mark that ends an exposition.
    pub fn render(self, text: &mut String) {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        // Writing to a string cannot fail.
        let _ = encode_registry(text, &registry);
    }
}

fn of_pool(line: &Line) -> Labels {
    let (pool, mode) = naming::pool(&line.proxy);
    vec![("pool", pool.to_owned()), ("mode", mode.to_owned())]
}

impl Subject {
    fn new(labels: Labels, line: &Line, up: bool, before: Option<&Numbers>) -> Self {
        let state = line.member_state();
        Self { labels, state, up, numbers: line.numbers.clone(), before: before.cloned() }
    }

    fn number(&self, measure: &Measure, column: Column) -> Option<u64> {
        let of = |numbers: &Numbers| numbers.get(column as usize).copied().flatten();
        let before = self.before.as_ref().filter(|_| measure.counter).and_then(of).unwrap_or(0);
        Some(of(&self.numbers)?.saturating_sub(before))
    }

    /// The samples of one metric, each with its own label, if it has one.
    fn samples(
        &self,
        measure: &Measure,
        mut tell: impl FnMut(Option<(&'static str, &'static str)>, Number) -> fmt::Result,
    ) -> fmt::Result {
        let whole = |number: Option<u64>| number.map(Number::Whole);
        let number = match measure.value {
            Value::Number(column) => whole(self.number(measure, column)),
            Value::Sum(one, other) => {
                whole(self.number(measure, one).zip(self.number(measure, other)).map(|(a, b)| a + b))
            }
            Value::Milliseconds(column) => self.number(measure, column).map(|number| Number::ratio(number, 1_000.0)),
            Value::Up => whole(Some(self.up.into())),
            Value::State => return tell(Some(("state", state(self.state))), Number::Whole(1)),
            Value::Codes => {
                for (code, column) in CODES {
                    if let Some(number) = self.number(measure, column) {
                        tell(Some(("code", code)), Number::Whole(number))?;
                    }
                }
                return Ok(());
            }
        };
        number.map_or(Ok(()), |number| tell(None, number))
    }
}

fn state(state: MemberState) -> &'static str {
    match state {
        MemberState::Up => "Up",
        MemberState::Down => "Down",
        MemberState::Drain => "Drain",
        MemberState::Maintenance => "Maintenance",
        MemberState::NoMonitor => "NoMonitor",
        MemberState::Unknown => "Unknown",
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(u64),
    Real(f64),
}

impl Number {
    #[allow(clippy::cast_precision_loss, reason = "durations and hundredths are far below 2^53")]
    fn ratio(number: u64, of: f64) -> Self {
        Self::Real(number as f64 / of)
    }
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        writer.row(UP, [(vec![], Number::Whole(self.is_up().into()))])?;
        writer.row(OLD_WORKERS, self.old_workers.map(|count| (vec![], Number::Whole(count))))?;
        let Some(information) = &self.information else { return Ok(()) };
        let version = information.text("Version").map(|version| vec![("version", version.to_owned())]);
        writer.row(VERSION, version.map(|labels| (labels, Number::Whole(1))))?;
        for fact in PROCESS {
            let number = information.number(fact.key);
            let number =
                number.map(|number| if fact.percent { Number::ratio(number, 100.0) } else { Number::Whole(number) });
            let kind = if fact.counter { "counter" } else { "gauge" };
            let row = Row { name: fact.name, kind, labels: "", meaning: fact.meaning };
            writer.row(row, number.map(|number| (vec![], number)))?;
        }
        // What the clock of the certificates says is never before 1970.
        let ends = self
            .certificates
            .iter()
            .map(|(secret, end)| (vec![("secret", secret.clone())], Number::Whole(u64::try_from(*end).unwrap_or(0))));
        writer.row(CERTIFICATE, ends)?;
        for (measures, subjects) in [(LISTENER, &self.listeners), (POOL, &self.pools), (MEMBER, &self.members)] {
            for measure in measures {
                writer.measure(measure, subjects)?;
            }
        }
        Ok(())
    }
}

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn row(&mut self, row: Row, samples: impl IntoIterator<Item = (Labels, Number)>) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let counter = row.kind == "counter";
        let kind = if counter { MetricType::Counter } else { MetricType::Gauge };
        let help = format!("{}.", row.meaning);
        let mut encoder = self.0.encode_descriptor(row.name.trim_end_matches("_total"), &help, None, kind)?;
        for (labels, number) in samples {
            if labels.is_empty() {
                return write(encoder, counter, number);
            }
            let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
            write(encoder.encode_family(&labels.as_slice())?, counter, number)?;
        }
        Ok(())
    }

    fn measure(&mut self, measure: &Measure, subjects: &[Subject]) -> fmt::Result {
        if subjects.is_empty() {
            return Ok(());
        }
        let kind = if measure.counter { MetricType::Counter } else { MetricType::Gauge };
        let help = format!("{}.", measure.meaning);
        let mut encoder = self.0.encode_descriptor(measure.name.trim_end_matches("_total"), &help, None, kind)?;
        for subject in subjects {
            let mut labels: Vec<(&str, &str)> = Vec::with_capacity(subject.labels.len() + 1);
            labels.extend(subject.labels.iter().map(|(key, value)| (*key, value.as_str())));
            subject.samples(measure, |own, number| {
                labels.truncate(subject.labels.len());
                labels.extend(own);
                write(encoder.encode_family(&labels.as_slice())?, measure.counter, number)
            })?;
        }
        Ok(())
    }
}

fn write(encoder: prometheus_client::encoding::MetricEncoder<'_>, counter: bool, number: Number) -> fmt::Result {
    match (counter, number) {
        (true, Number::Whole(number)) => ConstCounter::new(number).encode(encoder),
        (true, Number::Real(number)) => ConstCounter::new(number).encode(encoder),
        (false, Number::Whole(number)) => ConstGauge::new(number).encode(encoder),
        (false, Number::Real(number)) => ConstGauge::new(number).encode(encoder),
    }
}
