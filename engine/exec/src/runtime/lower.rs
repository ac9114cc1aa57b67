//! From a fragment's plan to pipelines.
//!
//! An operator that holds its input (the build side of a join, an aggregate, a sort) ends the pipelines that
//! give it, and what reads its result starts a new one. A stream of rows may come from several pipelines: the
//! inputs of a union, or a join and the rows that it adds at the end.

use super::FragmentEnvironment;
use super::disturb::{DisturbedSink, DisturbedSource};
use super::pipeline::{After, Node, Pipeline, Stage};
use super::profile::{MorselCount, NodeCounters};
use crate::error::Result;
use crate::expr::Expr;
use crate::expression::Compiled;
use crate::operator::{Operator, Sink, Source};
use crate::operators::aggregate::Aggregate;
use crate::operators::as_of::AsOf;
use crate::operators::exchange::ExchangeSink;
use crate::operators::expand::Expand;
use crate::operators::filter::Filter;
use crate::operators::filter_keys::FilterKeys;
use crate::operators::hash_join::HashJoin;
use crate::operators::kept::Kept;
use crate::operators::key_filter::{KeyFilter, NoteKeys};
use crate::operators::keys::Input;
use crate::operators::limit::Limit;
use crate::operators::project::Project;
use crate::operators::receive::Receive;
use crate::operators::result::{ResultQueue, ResultSink};
use crate::operators::scan::Scan;
use crate::operators::scan::lookup::LookupJoin;
use crate::operators::semi_join::{NotedKeys, SemiJoin};
use crate::operators::series::Series;
use crate::operators::sort::Sort;
use crate::operators::top_n::TopN;
use crate::operators::top_of_groups::TopOfGroups;
use crate::operators::union::{Widen, common_shapes};
use crate::operators::unroll::Unroll;
use crate::operators::values::ValuesSource;
use crate::operators::wanted_rows::WantedRows;
use crate::operators::window::Window;
use crate::plan::{self, Fragment, JoinKey, JoinKind, Plan};
use crate::shape::Shape;
use columnar::DataType;
use std::collections::HashMap;
use std::sync::Arc;
use storage::Length;

/// A fragment ready to run.
pub(crate) struct Lowered {
    pub(crate) pipelines: Vec<Pipeline>,
    pub(crate) sinks: Vec<Stage<Arc<dyn Sink>>>,
    /// One a node of the plan, in preorder.
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) morsels: Arc<MorselCount>,
}

/// Makes pipelines of `fragment`; the rows of a root go to `results`.
pub(crate) fn lower(
    fragment: &Fragment,
    environment: &FragmentEnvironment,
    results: &Arc<ResultQueue>,
) -> Result<Lowered> {
    let mut lowering = Lowering {
        environment,
        pipelines: Vec::new(),
        sinks: Vec::new(),
        nodes: Vec::new(),
        morsels: Arc::default(),
        next_pipeline: 0,
        shared: HashMap::new(),
        asked: Vec::new(),
        sends: Some(fragment.id).filter(|&id| environment.exchange.topology().is_asked(id)),
    };
    let stream = lowering.lower(&fragment.plan)?;
    let sink: Arc<dyn Sink> = match &fragment.output {
        None => Arc::new(ResultSink(results.clone())),
        Some(routing) => Arc::new(ExchangeSink::new(
            environment.exchange.clone(),
            fragment.id,
            environment.shard,
            routing,
            &stream.shapes,
            environment.query.settings.batch_rows,
        )?),
    };
    let output = lowering.node();
    lowering.close(stream, sink, &output);
    lowering.want_others(&fragment.plan);
    let Lowering { mut pipelines, sinks, nodes, morsels, .. } = lowering;
    // Pipelines are named by the numbers they were opened under.
    pipelines.sort_by_key(|(number, _)| *number);
    let pipelines = pipelines.into_iter().map(|(_, pipeline)| pipeline).collect();
    Ok(Lowered { pipelines, sinks, nodes, morsels })
}

struct Lowering<'a> {
    environment: &'a FragmentEnvironment,
    /// Closed ones, under their numbers.
    pipelines: Vec<(usize, Pipeline)>,
    sinks: Vec<Stage<Arc<dyn Sink>>>,
    nodes: Vec<Arc<Node>>,
    morsels: Arc<MorselCount>,
    next_pipeline: usize,
    /// What is computed once, by its number in the plan.
    shared: HashMap<u32, SharedRows>,
    /// Fragments whose senders are told which rows are wanted, once that is known.
    asked: Vec<u32>,
    /// What the rows of the plan that is lowered next are sent as, where the receivers tell which they want.
    sends: Option<u32>,
}

/// Rows that several streams read, and the sink after which they may.
struct SharedRows {
    sink: usize,
    rows: Held,
}

enum Held {
    /// The groups of an aggregation, which holds them anyway.
    Groups(Aggregate),
    Kept(Kept),
}

/// Rows on their way: pipelines without a sink yet, all of which give the same shapes.
struct Stream {
    shapes: Vec<Shape>,
    /// For a column that nothing on the way needs rows for that a later join would drop: where it comes from.
    origins: Vec<Option<Origin>>,
    /// Rows come in the order in which one scan gives them.
    in_order: bool,
    /// Nothing on the way from a scan fails for some rows, so that it is all the same which are left out.
    total: bool,
    open: Vec<OpenPipeline>,
}

/// A column where rows set out, by its position there.
#[derive(Clone)]
enum Origin {
    Scan(Arc<Scan>, usize),
    /// Of the rows that a fragment sends.
    Sent(u32, usize),
}

impl Origin {
    fn scan(self) -> Option<(Arc<Scan>, usize)> {
        match self {
            Origin::Scan(scan, position) => Some((scan, position)),
            Origin::Sent(..) => None,
        }
    }
}

struct OpenPipeline {
    number: usize,
    source: Stage<Arc<dyn Source>>,
    operators: Vec<Stage<Arc<dyn Operator>>>,
    after: Vec<After>,
}

impl Lowering<'_> {
    fn lower(&mut self, plan: &Plan) -> Result<Stream> {
        self.lower_some(plan, None)
    }

    /// As [`Lowering::lower`], where `enough` rows, whichever they are, are all that is wanted.
    fn lower_some(&mut self, plan: &Plan, enough: Option<u64>) -> Result<Stream> {
        let environment = self.environment;
        let settings = &environment.query.settings;
        let node = self.node();
        self.nodes.push(node.clone());
        let sends = self.sends.take();
        Ok(match plan {
            Plan::Scan(scan) => {
                let scan = Arc::new(self.scan(scan)?);
                self.open_scan(scan, &node)
            }
            Plan::ScanAddressed(scan) => {
                let settings = &self.environment.query.settings;
                let table = self.environment.tables.table(&scan.table)?;
                let tasks = self.environment.workers.threads().min(settings.parallelism);
                let scan = Scan::addressed(scan, &table, settings.batch_rows, tasks, self.morsels.clone())?;
                self.open_scan(Arc::new(scan), &node)
            }
            Plan::Values { types, rows } => {
                let source = ValuesSource::new(types, rows, settings.batch_rows)?;
                self.open(Arc::new(source), &node, Vec::new())
            }
            Plan::Receive { fragment, types } => self.receive(*fragment, Shape::of_types(types), &node),
            Plan::ReceiveProven { fragment, columns } => {
                self.receive(*fragment, columns.iter().map(Shape::of_received).collect(), &node)
            }
            Plan::Filter { input, predicate } => {
                let stream = self.lower(input)?;
                let operator = Filter::new(predicate, &stream.shapes)?;
                let (origins, in_order) = (stream.origins.clone(), stream.in_order);
                let total = stream.total && !operator.is_fallible();
                Stream { origins, in_order, total, ..stream.through(Arc::new(operator), &node) }
            }
            Plan::Project { input, exprs } => {
                let mut exprs = exprs.clone();
                let stream = match &**input {
                    Plan::Scan(scan) => {
                        self.lower_measured(scan, &mut exprs.iter_mut().collect::<Vec<_>>())?
                    }
                    _ => self.lower_some(input, enough)?,
                };
                let operator = Project::new(&exprs, &stream.shapes)?;
                let origins = exprs.iter().map(|expr| stream.origin(expr)).collect();
                let in_order = stream.in_order;
                let total = stream.total && !operator.is_fallible();
                Stream { origins, in_order, total, ..stream.through(Arc::new(operator), &node) }
            }
            Plan::Limit { input, limit, offset } => {
                let stream = self.lower_some(input, limit.map(|limit| limit.saturating_add(*offset)))?;
                let operator = Limit::new(*limit, *offset, &stream.shapes);
                stream.through(Arc::new(operator), &node)
            }
            Plan::HashJoin(join) => self.lower_join(join, &node)?,
            Plan::Aggregate { input, groups, aggregates } => {
                let (mut groups, mut aggregates) = (groups.clone(), aggregates.clone());
                let stream = match &**input {
                    Plan::Scan(scan) => {
                        let of_aggregates = aggregates
                            .iter_mut()
                            .flat_map(|call| call.args.iter_mut().chain(&mut call.filter));
                        let mut exprs: Vec<&mut Expr> = groups.iter_mut().chain(of_aggregates).collect();
                        self.lower_measured(scan, &mut exprs)?
                    }
                    _ => self.lower(input)?,
                };
                let (groups, aggregates) = (&groups, &aggregates);
                let stream = match sends {
                    Some(fragment) => self.wanted_rows(fragment, groups, stream),
                    None => stream,
                };
                if let Some(runs) = runs_of(groups, aggregates, &stream, &node)? {
                    // A group goes with its key, as its rows do.
                    let mut origins: Vec<_> = groups.iter().map(|group| stream.origin(group)).collect();
                    let stream = stream.through(runs, &node);
                    origins.resize(stream.shapes.len(), None);
                    return Ok(Stream { origins, in_order: true, ..stream });
                }
                let parts = Aggregate::new(groups, aggregates, &stream.shapes, &node.query)?;
                if let Some(enough) = enough {
                    parts.leave_out_others(enough);
                }
                self.break_at(stream, parts.sink(), parts.source(), &node)
            }
            Plan::Sort { input, keys } => {
                let stream = self.lower(input)?;
                let parts = Sort::new(keys, &stream.shapes, &node.query)?;
                self.break_at(stream, parts.sink, parts.source, &node)
            }
            Plan::TopN { input, keys, limit, offset } => {
                let stream = self.lower(input)?;
                let parts = TopN::new(keys, *limit, *offset, &stream.shapes, &node.query)?;
                if let Some((column, bound)) = parts.bound
                    && let Some(Origin::Scan(scan, position)) = &stream.origins[column]
                    && stream.total
                {
                    scan.bound_by(*position, bound);
                }
                self.break_at(stream, parts.sink, parts.source, &node)
            }
            Plan::Union { inputs } => {
                let streams: Vec<Stream> =
                    inputs.iter().map(|input| self.lower(input)).collect::<Result<_>>()?;
                self.join_streams(streams, &node)?
            }
            Plan::Window(window) => {
                let stream = self.lower(&window.input)?;
                let parts = Window::new(window, &stream.shapes, &node.query)?;
                self.break_at(stream, parts.sink, parts.source, &node)
            }
            Plan::Shared { number, input } => self.lower_shared(*number, input, &node)?,
            Plan::Reread { number, columns, .. } => {
                let shared = self.shared.get(number);
                let shared = shared.ok_or_else(|| unknown_rows(*number))?;
                let columns: Vec<usize> = columns.iter().map(|&column| column as usize).collect();
                if columns.iter().any(|&column| column >= shared.width()) {
                    return Err(unknown_rows(*number));
                }
                let (source, sink) = (shared.source(&columns), shared.sink);
                self.open(source, &node, vec![After::Sink(sink)])
            }
            Plan::Expand { input, lists } => {
                let stream = self.lower(input)?;
                let operator = Expand::new(lists, &stream.shapes)?;
                stream.through(Arc::new(operator), &node)
            }
            Plan::Series(series) => {
                let stream = self.lower(&series.input)?;
                let operator = Series::new(series, &stream.shapes, settings.batch_rows)?;
                stream.through(Arc::new(operator), &node)
            }
            Plan::Unroll(unroll) => {
                let stream = self.lower(&unroll.input)?;
                let operator = Unroll::new(unroll, &stream.shapes, settings.batch_rows)?;
                stream.through(Arc::new(operator), &node)
            }
            Plan::TopOfGroups(top) => {
                let stream = self.lower(&top.input)?;
                let operator = TopOfGroups::new(top, &stream.shapes)?;
                let sorted = self.sorted(stream, &operator.order(), &node)?;
                sorted.through(Arc::new(operator), &node)
            }
            Plan::AsOf(join) => {
                let stream = self.lower(&join.input)?;
                let operator = AsOf::new(join, &stream.shapes)?;
                let sorted = self.sorted(stream, &operator.order(), &node)?;
                sorted.through(Arc::new(operator), &node)
            }
            Plan::Exchange { .. } => {
                return Err(crate::Error::Internal("an exchange is left in a fragment".into()));
            }
        })
    }

    /// Leaves out rows of groups that those who receive the groups, as `fragment`, do not want by one of their keys.
    fn wanted_rows(&self, fragment: u32, groups: &[Expr], stream: Stream) -> Stream {
        let exchange = &self.environment.exchange;
        let here = |&sent: &usize| match groups.get(sent) {
            Some(Expr::Column { id, .. }) => Some((sent, *id as usize)),
            _ => None,
        };
        let columns: Vec<_> = exchange.topology().asked_columns(fragment).iter().filter_map(here).collect();
        if columns.is_empty() {
            return stream;
        }
        let wanted = WantedRows::new(exchange.clone(), fragment, columns, &stream.shapes);
        let (origins, in_order, total) = (stream.origins.clone(), stream.in_order, stream.total);
        // Its rows are none of the plan's nodes'.
        Stream { origins, in_order, total, ..stream.through(Arc::new(wanted), &self.node()) }
    }

    /// Tells those who wait to be told that all their rows are wanted, where nothing else is found out.
    fn want_others(&self, plan: &Plan) {
        let FragmentEnvironment { exchange, shard, .. } = self.environment;
        let asked = plan.asked().into_iter().map(|(fragment, _)| fragment);
        let others = asked.filter(|fragment| !self.asked.contains(fragment));
        others.for_each(|fragment| exchange.want_all(fragment, *shard));
    }

    /// Computes the input once, and reads it a first time.
    fn lower_shared(&mut self, number: u32, input: &Plan, node: &Arc<Node>) -> Result<Stream> {
        let (shared, stream) = match input {
            Plan::Aggregate { input, groups, aggregates } => {
                let grouping = self.node();
                self.nodes.push(grouping.clone());
                let stream = self.lower(input)?;
                let parts = Aggregate::new(groups, aggregates, &stream.shapes, &grouping.query)?;
                let sink = self.close(stream, parts.sink(), &grouping);
                let stream = self.open(parts.source(), &grouping, vec![After::Sink(sink)]);
                // It changes nothing: the rows are counted for both nodes.
                let shapes = stream.shapes.iter().enumerate();
                let all: Vec<Expr> =
                    shapes.map(|(column, shape)| Expr::column(column as u32, shape.data_type)).collect();
                let all = Project::new(&all, &stream.shapes)?;
                (SharedRows { sink, rows: Held::Groups(parts) }, stream.through(Arc::new(all), node))
            }
            input => {
                let stream = self.lower(input)?;
                let kept = Kept::new(&stream.shapes, is_ordered(input), &node.query);
                let sink = self.close(stream, kept.sink(), node);
                let columns: Vec<usize> = (0..kept.width()).collect();
                let stream = self.open(kept.source(&columns), node, vec![After::Sink(sink)]);
                (SharedRows { sink, rows: Held::Kept(kept) }, stream)
            }
        };
        self.shared.insert(number, shared);
        Ok(stream)
    }

    /// A scan whose columns only `exprs` are about, as [`measured`] has it.
    fn lower_measured(&mut self, plan: &plan::Scan, exprs: &mut [&mut Expr]) -> Result<Stream> {
        let node = self.node();
        self.nodes.push(node.clone());
        let mut scan = self.scan(plan)?;
        let found = measured(&plan.schema, &plan.columns, exprs);
        for (position, length, expr) in &found {
            let alone = std::slice::from_ref(&scan.output()[*position]);
            let compiled = Compiled::compile(expr, alone)?;
            scan.measure(*position, *length, compiled)?;
        }
        let mut stream = self.open_scan(Arc::new(scan), &node);
        found.iter().for_each(|(position, ..)| stream.origins[*position] = None);
        Ok(stream)
    }

    fn scan(&self, scan: &plan::Scan) -> Result<Scan> {
        let environment = self.environment;
        let settings = &environment.query.settings;
        let table = environment.tables.table(&scan.table)?;
        let tasks = environment.workers.threads().min(settings.parallelism);
        Scan::new(scan, &table, settings.batch_rows, tasks, self.morsels.clone())
    }

    /// The rows of these shapes that `fragment` sends here.
    fn receive(&mut self, fragment: u32, shapes: Vec<Shape>, node: &Arc<Node>) -> Stream {
        let (exchange, shard) = (self.environment.exchange.clone(), self.environment.shard);
        let origins = (0..shapes.len()).map(|column| Some(Origin::Sent(fragment, column))).collect();
        let batch_rows = self.environment.query.settings.batch_rows;
        let source = Receive::new(exchange, fragment, shard, shapes, batch_rows);
        Stream { origins, ..self.open(Arc::new(source), node, Vec::new()) }
    }

    fn open_scan(&mut self, scan: Arc<Scan>, node: &Arc<Node>) -> Stream {
        let stream = self.open(scan.clone(), node, Vec::new());
        let origins = (0..stream.shapes.len()).map(|column| Some(Origin::Scan(scan.clone(), column)));
        let total = !scan.is_fallible();
        Stream { origins: origins.collect(), in_order: true, total, ..stream }
    }

    fn lower_join(&mut self, join: &plan::HashJoin, node: &Arc<Node>) -> Result<Stream> {
        let (mut probe, mut build);
        if let Plan::Scan(scan) = &*join.probe {
            let scan_node = self.node();
            self.nodes.push(scan_node.clone());
            let scan = Arc::new(self.scan(scan)?);
            build = self.lower(&join.build)?;
            if let Some(lookup) = lookup_join(join, &scan, &scan_node, &build, node)? {
                scan.leave_out();
                let of_scan = (0..scan.output().len()).map(|column| Some(Origin::Scan(scan.clone(), column)));
                let origins = of_scan.chain(build.origins.iter().cloned()).collect();
                let total = build.total && is_total(join);
                return Ok(Stream { origins, total, ..build.through(Arc::new(lookup), node) });
            }
            probe = self.open_scan(scan, &scan_node);
        } else {
            probe = self.lower(&join.probe)?;
            build = self.lower(&join.build)?;
        }
        if let Some(keys) = HeldKeys::of(join, &probe, &build, node) {
            return Ok(self.lower_semi_join(keys, probe, build, node));
        }
        let parts = HashJoin::new(
            join.kind,
            &join.keys,
            join.residual.as_ref(),
            &probe.shapes,
            &build.shapes,
            &node.query,
        )?;
        if join.kind.drops_probe_rows() {
            for key in &join.keys {
                (probe, build) = self.filter_by_key(key, probe, build, node);
            }
        }
        let built = self.close(build, parts.build, node);
        probe.open.iter_mut().for_each(|pipeline| pipeline.after.push(After::Sink(built)));
        let probed: Vec<After> = probe.open.iter().map(|pipeline| After::Pipeline(pipeline.number)).collect();
        let mut origins = match join.kind.passes_probe_rows() {
            true => probe.origins.clone(),
            false => Vec::new(),
        };
        let total = probe.total && is_total(join);
        let stream = probe.through(parts.probe, node);
        origins.resize_with(stream.shapes.len(), || None);
        let stream = Stream { origins, total, ..stream };
        match parts.rest {
            Some(rest) => {
                let rest = self.open(rest, node, probed);
                self.join_streams(vec![stream, rest], node)
            }
            None => Ok(stream),
        }
    }

    /// Has rows of the probe side dropped that the build side has no key for: by the scan that they come from, or else on
    /// their way to the join.
    fn filter_by_key(
        &mut self,
        key: &JoinKey,
        probe: Stream,
        build: Stream,
        node: &Arc<Node>,
    ) -> (Stream, Stream) {
        let Some((probe_column, build_column)) = key.columns() else { return (probe, build) };
        let shapes = probe.shapes.get(probe_column).zip(build.shapes.get(build_column));
        let filter = shapes.and_then(|(of_probe, of_build)| KeyFilter::new(of_build, of_probe, &node.query));
        let Some(filter) = filter else { return (probe, build) };
        let note = NoteKeys::new(filter.clone(), build_column, &build.shapes);
        let build = build.through(Arc::new(note), node);
        (self.filtered(filter, probe_column, probe, node), build)
    }

    /// The stream without rows whose column `column` does not pass, dropped as early as may be.
    fn filtered(
        &mut self,
        filter: Arc<KeyFilter>,
        column: usize,
        stream: Stream,
        node: &Arc<Node>,
    ) -> Stream {
        let drop = match stream.origins.get(column).cloned().flatten() {
            Some(Origin::Scan(scan, position)) => {
                scan.filter_keys(position, filter);
                return stream;
            }
            Some(Origin::Sent(fragment, sent)) => {
                let FragmentEnvironment { exchange, shard, .. } = self.environment;
                self.asked.push(fragment);
                let from = (fragment, *shard, sent);
                FilterKeys::of_received(filter, column, &stream.shapes, exchange.clone(), from)
            }
            None => FilterKeys::new(filter, column, &stream.shapes),
        };
        let (origins, in_order, total) = (stream.origins.clone(), stream.in_order, stream.total);
        Stream { origins, in_order, total, ..stream.through(Arc::new(drop), node) }
    }

    fn lower_semi_join(&mut self, keys: HeldKeys, probe: Stream, build: Stream, node: &Arc<Node>) -> Stream {
        let HeldKeys { filter, probe: column, build: noted, anti } = keys;
        let note = NoteKeys::new(filter.clone(), noted, &build.shapes);
        let build = build.through(Arc::new(note), node);
        let built = self.close(build, Arc::new(NotedKeys), node);
        // Where rows set out here, they can only be dropped by the join itself.
        let sets_out_elsewhere = matches!(probe.origins.get(column), Some(Some(_)));
        let mut probe = match sets_out_elsewhere && !anti {
            true => self.filtered(filter.clone(), column, probe, node),
            false => probe,
        };
        probe.open.iter_mut().for_each(|pipeline| pipeline.after.push(After::Sink(built)));
        let (origins, in_order, total) = (probe.origins.clone(), probe.in_order, probe.total);
        let join = SemiJoin::new(filter, column, anti, &probe.shapes);
        Stream { origins, in_order, total, ..probe.through(Arc::new(join), node) }
    }

    /// A node with an account of its own in the query's memory.
    fn node(&self) -> Arc<Node> {
        let query = &self.environment.query;
        let memory = query.memory.child(u64::MAX);
        Arc::new(Node {
            query: Arc::new(crate::QueryContext { memory, ..(**query).clone() }),
            counters: NodeCounters::default(),
        })
    }

    /// A stream of what a source gives, once what stands in `after` is over.
    fn open(&mut self, source: Arc<dyn Source>, node: &Arc<Node>, after: Vec<After>) -> Stream {
        let shapes = source.output().to_vec();
        let number = self.next_pipeline;
        self.next_pipeline += 1;
        let source: Arc<dyn Source> = match self.environment.query.settings.disturb {
            Some(seed) => Arc::new(DisturbedSource::new(source, seed, self.environment.workers.clone())),
            None => source,
        };
        let source = Stage { part: source, node: node.clone() };
        let origins = vec![None; shapes.len()];
        Stream {
            shapes,
            origins,
            in_order: false,
            total: false,
            open: vec![OpenPipeline { number, source, operators: Vec::new(), after }],
        }
    }

    /// Ends all pipelines of a stream in `sink`; returns the sink's number.
    fn close(&mut self, stream: Stream, sink: Arc<dyn Sink>, node: &Arc<Node>) -> usize {
        let sink: Arc<dyn Sink> = match self.environment.query.settings.disturb {
            Some(seed) => Arc::new(DisturbedSink::new(sink, seed, self.environment.workers.clone())),
            None => sink,
        };
        let sink = Stage { part: sink, node: node.clone() };
        let sink_index = self.sinks.len();
        self.sinks.push(sink.clone());
        for open in stream.open {
            let OpenPipeline { number, source, operators, after } = open;
            let pipeline = Pipeline { source, operators, sink: sink.clone(), sink_index, after };
            self.pipelines.push((number, pipeline));
        }
        sink_index
    }

    /// Ends a stream in `sink` and starts another with what `source` then gives.
    fn break_at(
        &mut self,
        stream: Stream,
        sink: Arc<dyn Sink>,
        source: Arc<dyn Source>,
        node: &Arc<Node>,
    ) -> Stream {
        let sink = self.close(stream, sink, node);
        self.open(source, node, vec![After::Sink(sink)])
    }

    /// The rows in order, for an operator of `node` that takes them so.
    fn sorted(&mut self, stream: Stream, keys: &[plan::SortKey], node: &Arc<Node>) -> Result<Stream> {
        let parts = Sort::new(keys, &stream.shapes, &node.query)?;
        let sink = self.close(stream, parts.sink, node);
        // What comes out of the sort is not counted: the node's rows are the operator's.
        let uncounted = self.node();
        Ok(self.open(parts.source, &uncounted, vec![After::Sink(sink)]))
    }

    /// One stream of the rows of all, at widths that hold them all.
    fn join_streams(&mut self, streams: Vec<Stream>, node: &Arc<Node>) -> Result<Stream> {
        let inputs: Vec<&[Shape]> = streams.iter().map(|stream| &stream.shapes[..]).collect();
        let shapes = common_shapes(&inputs)?;
        let widened = streams.into_iter().flat_map(|stream| {
            let stream = match Widen::is_needed(&stream.shapes, &shapes) {
                true => stream.through(Arc::new(Widen::new(&shapes)), node),
                false => stream,
            };
            stream.open
        });
        let (open, origins) = (widened.collect(), vec![None; shapes.len()]);
        Ok(Stream { open, origins, in_order: false, total: false, shapes })
    }
}

impl SharedRows {
    fn width(&self) -> usize {
        match &self.rows {
            Held::Groups(groups) => groups.width(),
            Held::Kept(kept) => kept.width(),
        }
    }

    fn source(&self, columns: &[usize]) -> Arc<dyn Source> {
        match &self.rows {
            Held::Groups(groups) => groups.source_of(columns),
            Held::Kept(kept) => kept.source(columns),
        }
    }
}

fn unknown_rows(number: u32) -> crate::Error {
    crate::Error::Internal(format!("no rows with these columns are shared under number {number} so far"))
}

/// Whether the order of the plan's rows means something.
fn is_ordered(plan: &Plan) -> bool {
    match plan {
        Plan::Sort { .. } | Plan::TopN { .. } | Plan::Values { .. } | Plan::Reread { .. } => true,
        Plan::Filter { input, .. } | Plan::Project { input, .. } | Plan::Limit { input, .. } => {
            is_ordered(input)
        }
        Plan::Shared { input, .. } => is_ordered(input),
        Plan::Unroll(unroll) => is_ordered(&unroll.input),
        _ => false,
    }
}

impl Stream {
    /// Where the values of an expression over the stream come from.
    fn origin(&self, expr: &Expr) -> Option<Origin> {
        match expr {
            Expr::Column { id, .. } => self.origins.get(*id as usize).cloned().flatten(),
            _ => None,
        }
    }

    /// The stream after an operator, which all its pipelines share. What is known of its rows is forgotten.
    fn through(mut self, operator: Arc<dyn Operator>, node: &Arc<Node>) -> Stream {
        self.shapes = operator.output().to_vec();
        self.origins = vec![None; self.shapes.len()];
        self.in_order = false;
        self.total = false;
        let stage = Stage { part: operator, node: node.clone() };
        self.open.iter_mut().for_each(|pipeline| pipeline.operators.push(stage.clone()));
        self
    }
}

/// The join as a lookup of the build side's rows in the probe side's table, if that ascends by a unique key and the rows
/// are clustered by it.
fn lookup_join(
    join: &plan::HashJoin,
    scan: &Scan,
    scan_node: &Arc<Node>,
    rows: &Stream,
    node: &Arc<Node>,
) -> Result<Option<LookupJoin>> {
    let ([key], JoinKind::Inner, None) = (&join.keys[..], join.kind, &join.residual) else { return Ok(None) };
    let Expr::Column { id, .. } = key.probe else { return Ok(None) };
    let clustered = rows
        .origin(&key.build)
        .and_then(Origin::scan)
        .is_some_and(|(from, position)| from.is_sorted(position));
    if key.null_equal || !clustered {
        return Ok(None);
    }
    let (input, counted) = (Input::compile(&key.build, &rows.shapes)?, scan_node.clone());
    let found = move |rows| counted.counters.add_batch(rows);
    Ok(LookupJoin::new(scan, id as usize, input, &rows.shapes, &node.query, found))
}

/// The aggregation of rows that come in the order of their only key, if they do.
fn runs_of(
    groups: &[Expr],
    aggregates: &[plan::Aggregate],
    stream: &Stream,
    node: &Arc<Node>,
) -> Result<Option<Arc<dyn Operator>>> {
    let [group] = groups else { return Ok(None) };
    let origin = stream.origin(group).filter(|_| stream.in_order).and_then(Origin::scan);
    let Some((scan, position)) = origin else { return Ok(None) };
    if !scan.is_sorted(position) {
        return Ok(None);
    }
    let runs = Aggregate::of_runs(group, aggregates, &stream.shapes, &node.query)?;
    Ok(runs.filter(|_| scan.keep_runs_whole(position)))
}

/// Columns of text of a scan, by their positions in its output, of which `exprs` use nothing but one kind of length;
/// with that, as an expression over the column alone. `exprs` then take the columns for their lengths.
fn measured(schema: &[DataType], columns: &[u32], exprs: &mut [&mut Expr]) -> Vec<(usize, Length, Expr)> {
    let mut found = Vec::new();
    for (position, &column) in columns.iter().enumerate() {
        if schema.get(column as usize) != Some(&DataType::Varchar) {
            continue;
        }
        let text = Expr::column(position as u32, DataType::Varchar);
        let is_column = |expr: &Expr| *expr == text;
        let (mut lengths, mut uses) = (Vec::new(), 0);
        for expr in &*exprs {
            expr.visit(&mut |part| {
                uses += usize::from(is_column(part));
                if let Expr::Call { function, args, .. } = part
                    && let ([arg], Some(length)) = (&args[..], length_of(function))
                    && is_column(arg)
                {
                    lengths.push((length, part.clone()));
                }
            });
        }
        let alike = lengths.iter().all(|(length, _)| *length == lengths[0].0);
        if lengths.is_empty() || lengths.len() < uses || !alike {
            continue;
        }
        let (length, expr) = lengths.swap_remove(0);
        let data_type = expr.data_type();
        for other in &mut *exprs {
            let whole = std::mem::replace(*other, Expr::Column { id: 0, data_type });
            **other = whole.transform(&mut |part| match &part {
                Expr::Call { args, .. } if args.iter().any(is_column) => {
                    Expr::column(position as u32, data_type)
                }
                _ => part,
            });
        }
        let alone = expr.transform(&mut |part| match part {
            Expr::Column { data_type, .. } => Expr::column(0, data_type),
            part => part,
        });
        found.push((position, length, alone));
    }
    found
}

fn length_of(function: &str) -> Option<Length> {
    match function {
        "length" => Some(Length::Characters),
        "octet_length" => Some(Length::Bytes),
        _ => None,
    }
}

/// Whether a join evaluates nothing that might fail.
fn is_total(join: &plan::HashJoin) -> bool {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column { .. });
    join.residual.is_none() && join.keys.iter().all(|key| is_column(&key.probe) && is_column(&key.build))
}

/// Of a semi or anti join that needs nothing of its build side but which keys there are.
struct HeldKeys {
    filter: Arc<KeyFilter>,
    /// The columns that are compared.
    probe: usize,
    build: usize,
    anti: bool,
}

impl HeldKeys {
    /// `None` where the join needs more, or the keys may lie far apart.
    fn of(join: &plan::HashJoin, probe: &Stream, build: &Stream, node: &Arc<Node>) -> Option<HeldKeys> {
        let ([key], None) = (&join.keys[..], &join.residual) else { return None };
        let anti = match join.kind {
            JoinKind::ProbeSemi => false,
            JoinKind::ProbeAnti => true,
            _ => return None,
        };
        let (probe_column, build_column) = key.columns()?;
        let shapes = (build.shapes.get(build_column)?, probe.shapes.get(probe_column)?);
        let filter = KeyFilter::kept(shapes.0, shapes.1, &node.query)?;
        Some(HeldKeys { filter, probe: probe_column, build: build_column, anti })
    }
}
