//! How large a GraphQL document may be, judged before anything of it is validated or run.
//!
//! A document of 16 KiB can stand for 2⁵⁰⁰ fields: fragments that spread fragments. So sizes are
//! counted with a memory for each fragment, and a fragment that spreads itself is refused, before any
//! visitor walks the document naively. The library's own limits stay on as a second wall.

use std::collections::HashMap;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Value as ConstValue, Variables};

use crate::config::Limits;
use crate::no::{Code, No};

/// How deep the introspection of GraphiQL nests, which no customer's query may.
pub(crate) const INTROSPECTION_DEPTH: usize = 20;

/// What the seats of a hall cost: all of them, so that no request asks for two halls; or a section's.
pub(crate) fn seats(of_a_section: bool) -> usize {
    if of_a_section { 150 } else { 600 }
}

/// What an order to a vehicle costs: it may take 20 s, and the mutations of a document run one after the
/// other, so two of them fit into the time that an answer has.
const COMMAND: usize = 400;

/// How many rows a page has when nobody says.
pub(crate) const USUAL: usize = 20;

/// What a page costs: its rows count a twentieth of what one row costs.
pub(crate) fn page(first: Option<i64>, child: usize) -> usize {
    let first = first.map_or(USUAL, |first| usize::try_from(first).unwrap_or(0));
    // A page that is larger than pages may be is refused when it is asked for.
    child.saturating_mul(first.div_ceil(USUAL).clamp(1, 50)).saturating_add(1)
}

/// A document that may be run.
pub(crate) struct Judged {
    pub(crate) document: ExecutableDocument,
    /// What it costs; the operations of a batch may cost together what one may.
    pub(crate) cost: usize,
    /// Whether seats are asked for.
    pub(crate) seats: bool,
}

/// Reads a document that is within the limits.
pub(crate) fn read(query: &str, variables: &Variables, limits: &Limits) -> Result<Judged, No> {
    let refuse = |message: String| Err(No::new(Code::GraphqlInvalid, message));
    if query.len() > limits.graphql_document_bytes {
        return refuse(format!("a document has at most {} bytes", limits.graphql_document_bytes));
    }
    // The parser itself stops at a depth of its own.
    let document =
        parse_query(query).map_err(|error| No::new(Code::GraphqlInvalid, error.to_string()))?;
    let mut judge = Judge {
        document: &document,
        known: HashMap::new(),
        variables,
        defaults: defaults(&document),
    };
    let mut total = Size::default();
    for (_, operation) in document.operations.iter() {
        let size = judge.set(&operation.node.selection_set.node)?;
        total = total.beside(size);
        total.directives = total.directives.saturating_add(operation.node.directives.len());
    }
    // Fragments that nobody spreads count too: they are read and validated.
    for name in document.fragments.keys() {
        judge.fragment(name.as_str())?;
    }
    let (mut aliases, mut directives) = (0usize, 0usize);
    for fragment in document.fragments.values() {
        let (a, d) = written(&fragment.node.selection_set.node);
        aliases += a;
        directives += d + fragment.node.directives.len();
    }
    for (_, operation) in document.operations.iter() {
        let (a, d) = written(&operation.node.selection_set.node);
        aliases += a;
        directives += d + operation.node.directives.len();
    }
    if total.depth > limits.graphql_depth {
        return refuse(format!("selections may nest at most {} deep", limits.graphql_depth));
    }
    if total.introspection > INTROSPECTION_DEPTH {
        return refuse(format!("introspection may nest at most {INTROSPECTION_DEPTH} deep"));
    }
    if total.cost > limits.graphql_complexity {
        return refuse(format!("a document may cost at most {}", limits.graphql_complexity));
    }
    if aliases.max(total.aliases) > limits.graphql_aliases {
        return refuse(format!("a document has at most {} aliases", limits.graphql_aliases));
    }
    if directives.max(total.directives) > limits.graphql_directives {
        return refuse(format!("a document has at most {} directives", limits.graphql_directives));
    }
    Ok(Judged { cost: total.cost, seats: total.seats, document })
}

/// What variables are when they are not sent; null when operations of the document disagree.
fn defaults(document: &ExecutableDocument) -> HashMap<Name, ConstValue> {
    let mut found: HashMap<Name, ConstValue> = HashMap::new();
    for (_, operation) in document.operations.iter() {
        for variable in &operation.node.variable_definitions {
            let name = variable.node.name.node.clone();
            let value =
                variable.node.default_value.as_ref().map_or(ConstValue::Null, |v| v.node.clone());
            let value = match found.get(&name) {
                Some(other) if *other != value => ConstValue::Null,
                _ => value,
            };
            found.insert(name, value);
        }
    }
    found
}

/// Aliases and directives as they are written, fragments not followed.
fn written(set: &SelectionSet) -> (usize, usize) {
    let (mut aliases, mut directives) = (0, 0);
    for selection in &set.items {
        directives += selection.node.directives().len();
        let inner = match &selection.node {
            Selection::Field(field) => {
                aliases += usize::from(field.node.alias.is_some());
                &field.node.selection_set
            }
            Selection::InlineFragment(inline) => &inline.node.selection_set,
            Selection::FragmentSpread(_) => continue,
        };
        let (a, d) = written(&inner.node);
        aliases += a;
        directives += d;
    }
    (aliases, directives)
}

/// What a selection amounts to once its fragments are spread out.
#[derive(Clone, Copy, Default)]
struct Size {
    /// A field costs one, those that stand for much more.
    cost: usize,
    seats: bool,
    aliases: usize,
    directives: usize,
    depth: usize,
    introspection: usize,
}

impl Size {
    fn beside(self, other: Size) -> Size {
        Size {
            cost: self.cost.saturating_add(other.cost),
            seats: self.seats || other.seats,
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            depth: self.depth.max(other.depth),
            introspection: self.introspection.max(other.introspection),
        }
    }
}

struct Judge<'a> {
    document: &'a ExecutableDocument,
    /// What each fragment amounts to; none while it is being looked at.
    known: HashMap<&'a str, Option<Size>>,
    variables: &'a Variables,
    defaults: HashMap<Name, ConstValue>,
}

impl<'a> Judge<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Result<Size, No> {
        let mut total = Size::default();
        for selection in &set.items {
            let mut size = match &selection.node {
                Selection::Field(field) => {
                    let mut size = self.set(&field.node.selection_set.node)?;
                    size.cost = self.cost(&field.node, size.cost);
                    size.seats |= field.node.name.node == "seats";
                    size.aliases =
                        size.aliases.saturating_add(usize::from(field.node.alias.is_some()));
                    if matches!(field.node.name.node.as_str(), "__schema" | "__type") {
                        size.introspection = size.depth.max(size.introspection) + 1;
                        size.depth = 1;
                    } else {
                        size.depth += 1;
                    }
                    size
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(spread.node.fragment_name.node.as_str())?
                }
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node)?,
            };
            size.directives = size.directives.saturating_add(selection.node.directives().len());
            total = total.beside(size);
        }
        Ok(total)
    }

    /// What a field costs with what is selected below it. Judged by names, which mean one thing each in
    /// the schema.
    fn cost(&self, field: &Field, child: usize) -> usize {
        match field.name.node.as_str() {
            "seats" => {
                let section =
                    matches!(self.argument(field, "section"), Some(ConstValue::String(_)));
                seats(section).saturating_add(child)
            }
            "items" | "reservations" | "vehicles" | "notifications" | "events"
            | "rejectedCommands" | "deadLetters" | "stockMovements" | "timeline" => {
                let first = match self.argument(field, "first") {
                    Some(ConstValue::Number(first)) => first.as_i64(),
                    _ => None,
                };
                page(first, child)
            }
            "unlockVehicle" | "lockVehicle" => child.saturating_add(COMMAND),
            _ => child.saturating_add(1),
        }
    }

    /// The value of an argument, variables looked up.
    fn argument(&self, field: &Field, name: &str) -> Option<ConstValue> {
        let value = &field.get_argument(name)?.node;
        let known = |name: Name| {
            let known = self.variables.get(&name).or_else(|| self.defaults.get(&name));
            Ok::<_, std::convert::Infallible>(known.cloned().unwrap_or(ConstValue::Null))
        };
        value.clone().into_const_with(known).ok()
    }

    fn fragment(&mut self, name: &str) -> Result<Size, No> {
        let document = self.document;
        let Some((key, fragment)) = document.fragments.get_key_value(name) else {
            return Ok(Size::default()); // validation names it
        };
        match self.known.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => {
                return Err(No::new(
                    Code::GraphqlInvalid,
                    format!("fragment {name} spreads itself"),
                ));
            }
            None => {}
        }
        self.known.insert(key.as_str(), None);
        let size = self.set(&fragment.node.selection_set.node)?;
        self.known.insert(key.as_str(), Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(query: &str) -> Result<(), No> {
        read(query, &Variables::default(), &Limits::default()).map(drop)
    }

    fn cost(query: &str, variables: serde_json::Value) -> usize {
        let limits = Limits { graphql_complexity: usize::MAX, ..Limits::default() };
        read(query, &Variables::from_json(variables), &limits).expect("it is small").cost
    }

    #[test]
    fn one_hall_fits_and_two_do_not_however_they_are_asked_for() {
        let hall = "seatMap(id: \"x\") { seats { id label price { formatted } } }";
        judged(&format!("{{ {hall} }}")).expect("one");
        assert!(judged(&format!("{{ a: {hall} b: {hall} }}")).is_err());
        let section = "seatMap(id: \"x\") { seats(section: \"A\") { id label } }";
        judged(&format!("{{ a: {section} b: {section} c: {section} }}")).expect("three sections");
        let open = "query Q($s: String) { seatMap(id: \"x\") { seats(section: $s) { id } } }";
        assert!(cost(open, serde_json::json!({})) > 600);
        assert!(cost(open, serde_json::json!({"s": "A"})) < 200);
        let disagree = "query A($s: String = \"A\") { ...F } query B($s: String) { ...F } \
                        fragment F on Query { seatMap(id: \"x\") { seats(section: $s) { id } } }";
        assert!(cost(disagree, serde_json::json!({})) > 1_200);
    }

    #[test]
    fn two_orders_to_vehicles_fit_and_three_do_not() {
        let order = "unlockVehicle(input: {}) { __typename }";
        judged(&format!("mutation {{ a: {order} b: {order} }}")).expect("two");
        assert!(judged(&format!("mutation {{ a: {order} b: {order} c: {order} }}")).is_err());
    }

    #[test]
    fn rows_cost_what_is_asked_of_them_and_ordinary_lists_are_allowed() {
        let query = "query Q($n: Int = 100) { events(first: $n) { edges { node { id type } } } }";
        assert_eq!(cost(query, serde_json::json!({})), 21);
        assert_eq!(cost(query, serde_json::json!({"n": 20})), 5);
        judged(
            "{ reservations(first: 20) { edges { node { id status total { amountMinor } \
             lines { sku quantity } payments { status } tickets { id } } } } \
             events(first: 100) { edges { cursor node { id position stream streamVersion type \
             schemaVersion occurredAt recordedAt actor { kind id } correlationId causationId \
             commandId data } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }",
        )
        .expect("ordinary");
        let nested = "reservations(first: 100) { edges { node { timeline(first: 100) \
                      { edges { node { id type data } } } } } }";
        judged(&format!("{{ {nested} }}")).expect("once");
        let many: String = (0..9).map(|n| format!("a{n}: {nested} ")).collect();
        assert!(judged(&format!("{{ {many} }}")).is_err());
    }

    fn nested(depth: usize) -> String {
        format!("{}a{}", "{ a ".repeat(depth - 1) + "{ ", " }".repeat(depth))
    }

    #[test]
    fn an_ordinary_document_passes() {
        judged("query Q($id: ID!) { reservation(id: $id) { id ...R } } fragment R on Reservation { status }")
            .expect("it is small");
    }

    #[test]
    fn twelve_deep_passes_and_thirteen_does_not() {
        judged(&nested(12)).expect("twelve");
        assert!(judged(&nested(13)).is_err());
    }

    #[test]
    fn a_fragment_may_not_hide_depth() {
        let query = "{ a { a { a { a { a { a { a { ...F } } } } } } } } \
                     fragment F on T { b { b { b { b { b { b } } } } } }";
        assert!(judged(query).is_err());
    }

    #[test]
    fn fifty_aliases_pass_and_fifty_one_do_not() {
        let aliases = |n: usize| (0..n).map(|i| format!("a{i}: me {{ id }} ")).collect::<String>();
        judged(&format!("{{ {} }}", aliases(50))).expect("fifty");
        assert!(judged(&format!("{{ {} }}", aliases(51))).is_err());
    }

    #[test]
    fn twenty_directives_pass_and_twenty_one_do_not() {
        let field = |n: usize| format!("{{ me {} {{ id }} }}", "@include(if: true) ".repeat(n));
        judged(&field(20)).expect("twenty");
        assert!(judged(&field(21)).is_err());
    }

    #[test]
    fn fragments_that_double_each_other_are_counted_not_walked() {
        let mut query = String::from("{ ...F0 } ");
        for n in 0..300 {
            query += &format!("fragment F{n} on Q {{ ...F{} ...F{} }} ", n + 1, n + 1);
        }
        query += "fragment F300 on Q { me { id } }";
        let began = std::time::Instant::now();
        assert!(judged(&query).is_err());
        assert!(began.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn a_fragment_that_spreads_itself_is_refused() {
        assert!(judged("{ ...A } fragment A on Q { ...B } fragment B on Q { ...A }").is_err());
        assert!(judged("{ me { id } } fragment A on Q { ...A }").is_err());
    }

    #[test]
    fn a_long_document_and_a_pile_of_brackets_are_refused() {
        assert!(judged(&format!("{{ me {{ id }} }} #{}", "x".repeat(16 << 10))).is_err());
        assert!(judged(&"{".repeat(8_000)).is_err());
        assert!(judged(&format!("{{ a(b: {}) }}", "[".repeat(8_000))).is_err());
    }

    #[test]
    fn introspection_may_be_deeper() {
        let query = format!(
            "{{ __schema {{ types {} }} }}",
            "{ ofType ".repeat(14) + "{ name }" + &"}".repeat(14)
        );
        judged(&query).expect("as GraphiQL asks");
        let query = format!(
            "{{ __schema {{ types {} }} }}",
            "{ ofType ".repeat(40) + "{ name }" + &"}".repeat(40)
        );
        assert!(judged(&query).is_err());
    }
}
