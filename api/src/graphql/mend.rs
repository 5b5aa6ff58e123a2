//! Nulls where errors were, as GraphQL wants them (specification, 6.4.4 "Handling Execution Errors").
//!
//! The library (async-graphql 7.2.1, `do_resolve_container`) leaves a field that failed out of its
//! object, and turns an object all of whose fields failed into null. The specification has the key
//! stand there with null; a field that may not be null takes its parent along, up to the nearest that
//! may. Each failure is in `errors` with its path, so only those paths are walked, and an answer without
//! errors costs nothing.

use std::collections::HashMap;

use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, Field, OperationType, Selection,
    SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, PathSegment, Response, Value};

/// What may be null, from the published schema.
#[derive(Debug)]
pub(crate) struct Shapes(HashMap<String, HashMap<String, Type>>);

impl Shapes {
    pub(crate) fn read(sdl: &str) -> Self {
        let document =
            async_graphql::parser::parse_schema(sdl).expect("our own schema can be read");
        let mut types = HashMap::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let fields = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                TypeKind::Scalar
                | TypeKind::Union(_)
                | TypeKind::Enum(_)
                | TypeKind::InputObject(_) => continue,
            };
            let fields = fields
                .into_iter()
                .map(|field| (field.node.name.node.to_string(), field.node.ty.node))
                .collect();
            types.insert(definition.node.name.node.to_string(), fields);
        }
        Self(types)
    }

    fn field(&self, parent: &str, name: &str) -> Option<&Type> {
        self.0.get(parent)?.get(name)
    }
}

/// A selection set and the type it selects from; several stand for one object when its key was
/// selected more than once.
type Scopes<'a> = Vec<(&'a str, &'a SelectionSet)>;

struct Mender<'a> {
    shapes: &'a Shapes,
    document: &'a ExecutableDocument,
}

/// Puts the nulls of an answer in their places. An operation that was refused before it ran has no data
/// and gets none.
pub(crate) fn mend(
    answer: &mut Response,
    shapes: &Shapes,
    document: &ExecutableDocument,
    operation: Option<&str>,
) {
    if answer.errors.iter().all(|error| error.path.is_empty()) {
        return;
    }
    let operation = match (&document.operations, operation) {
        (DocumentOperations::Single(operation), _) => operation,
        (DocumentOperations::Multiple(all), Some(name)) => match all.get(name) {
            Some(operation) => operation,
            None => return,
        },
        (DocumentOperations::Multiple(_), None) => return,
    };
    let root = match operation.node.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        // A source that could not be opened has no data.
        OperationType::Subscription if answer.data == Value::Null => return,
        OperationType::Subscription => "Subscription",
    };
    let mender = Mender { shapes, document };
    let scopes = vec![(root, &operation.node.selection_set.node)];
    let paths = || answer.errors.iter().map(|error| &*error.path).filter(|path| !path.is_empty());
    for path in paths() {
        mender.restore(&mut answer.data, &scopes, path);
    }
    if paths().any(|path| mender.breaks(&mut answer.data, &scopes, path)) {
        answer.data = Value::Null;
    }
}

impl<'a> Mender<'a> {
    /// Puts back the keys that the library left out, and the objects it collapsed.
    fn restore(&self, value: &mut Value, scopes: &Scopes<'a>, path: &[PathSegment]) {
        match path.split_first() {
            Some((PathSegment::Index(index), rest)) => {
                let Value::List(items) = value else { return };
                if let Some(item) = items.get_mut(*index) {
                    self.restore(item, scopes, rest);
                }
            }
            Some((PathSegment::Field(key), rest)) => {
                if *value == Value::Null {
                    *value = Value::Object(Default::default());
                }
                let Value::Object(fields) = value else { return };
                let Some((_, below)) = self.at(scopes, key) else { return };
                match fields.get_mut(key.as_str()) {
                    Some(field) => self.restore(field, &below, rest),
                    None => {
                        fields.insert(Name::new(key), Value::Null);
                    }
                }
            }
            None => {}
        }
    }

    /// Whether the object `value` has to be null for a null further down this path.
    fn breaks(&self, value: &mut Value, scopes: &Scopes<'a>, path: &[PathSegment]) -> bool {
        let (Some((PathSegment::Field(key), rest)), Value::Object(fields)) =
            (path.split_first(), value)
        else {
            return false;
        };
        let Some((ty, below)) = self.at(scopes, key) else { return false };
        let Some(field) = fields.get_mut(key.as_str()) else { return false };
        self.broken(field, ty, &below, rest)
    }

    /// Nulls `value` if something below it breaks it; whether it is null and may not be.
    fn broken(
        &self,
        value: &mut Value,
        ty: &Type,
        scopes: &Scopes<'a>,
        path: &[PathSegment],
    ) -> bool {
        let broken = match (path.first(), &ty.base, &mut *value) {
            (Some(PathSegment::Index(index)), BaseType::List(of), Value::List(items)) => items
                .get_mut(*index)
                .is_some_and(|item| self.broken(item, of, scopes, path.get(1..).unwrap_or(&[]))),
            (Some(PathSegment::Field(_)), BaseType::Named(_), object) => {
                self.breaks(object, scopes, path)
            }
            (_, BaseType::List(_) | BaseType::Named(_), _) => false,
        };
        if broken {
            *value = Value::Null;
        }
        *value == Value::Null && !ty.nullable
    }

    /// The type that is selected under a key, and the selections below it.
    fn at(&self, scopes: &Scopes<'a>, key: &str) -> Option<(&'a Type, Scopes<'a>)> {
        let mut found = Vec::new();
        for (parent, set) in scopes {
            self.fields(parent, set, key, &mut found);
        }
        let mut ty = None;
        let mut below = Vec::new();
        for (parent, field) in found {
            let Some(of) = self.shapes.field(parent, &field.name.node) else { continue };
            // Fields that share a key have the same shape: validation saw to it.
            ty = ty.or(Some(of));
            below.push((named(of), &field.selection_set.node));
        }
        Some((ty?, below))
    }

    fn fields(
        &self,
        parent: &'a str,
        set: &'a SelectionSet,
        key: &str,
        found: &mut Vec<(&'a str, &'a Field)>,
    ) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    if field.node.response_key().node == key {
                        found.push((parent, &field.node));
                    }
                }
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    let on = on.map_or(parent, |on| on.node.on.node.as_str());
                    self.fields(on, &inline.node.selection_set.node, key, found);
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) =
                        self.document.fragments.get(&spread.node.fragment_name.node)
                    else {
                        continue;
                    };
                    let on = fragment.node.type_condition.node.on.node.as_str();
                    self.fields(on, &fragment.node.selection_set.node, key, found);
                }
            }
        }
    }
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(of) => named(of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::ServerError;
    use serde_json::{Value as Json, json};

    const SDL: &str = "type Query { thing: Thing, must: Thing!, many: [Thing!]!, some: [Thing] node: Node } \
                       interface Node { id: ID! } \
                       type Thing implements Node { id: ID! name: String inner: Thing sure: Thing! }";

    fn mended(query: &str, data: Json, paths: &[Json]) -> Json {
        let segment = |segment: &Json| match segment.as_u64() {
            Some(index) => PathSegment::Index(index as usize),
            None => PathSegment::Field(segment.as_str().expect("a key").into()),
        };
        let errors = paths.iter().map(|path| ServerError {
            path: path.as_array().expect("a path").iter().map(segment).collect(),
            ..ServerError::new("no", None)
        });
        let mut answer = Response::from_errors(errors.collect());
        answer.data = Value::from_json(data).expect("data");
        let document = async_graphql::parser::parse_query(query).expect("a query");
        mend(&mut answer, &Shapes::read(SDL), &document, None);
        answer.data.into_json().expect("JSON")
    }

    #[test]
    fn a_field_that_failed_is_null_beside_those_that_did_not() {
        let query = "{ a: thing { id } thing { id } }";
        let data = json!({"thing": {"id": "1"}});
        let is = json!({"a": null, "thing": {"id": "1"}});
        assert_eq!(mended(query, data, &[json!(["a"])]), is);
        let both = mended(query, Json::Null, &[json!(["a"]), json!(["thing"])]);
        assert_eq!(both, json!({"a": null, "thing": null}));
    }

    #[test]
    fn what_may_not_be_null_takes_its_parents_along_up_to_the_nearest_that_may() {
        let query = "{ thing { id sure { sure { id } } } some { id name } }";
        let data = json!({"thing": {"id": "1", "sure": {"sure": null}}, "some": [{"id": "1"}, {"name": "x"}]});
        let is = json!({"thing": null, "some": [{"id": "1", "name": null}, null]});
        let paths = [
            json!(["thing", "sure", "sure", "id"]),
            json!(["some", 0, "name"]),
            json!(["some", 1, "id"]),
        ];
        assert_eq!(mended(query, data, &paths), is);
    }

    #[test]
    fn nothing_is_left_when_nothing_on_the_way_may_be_null() {
        let query = "{ thing { id } many { id name } }";
        let data = json!({"thing": {"id": "1"}, "many": [{"name": "x"}]});
        assert_eq!(mended(query, data, &[json!(["many", 0, "id"])]), Json::Null);
        assert_eq!(mended("{ must { id } }", Json::Null, &[json!(["must"])]), Json::Null);
    }

    #[test]
    fn fragments_are_looked_into_and_a_collapsed_object_stands_again() {
        let query =
            "{ node { ...T } } fragment T on Thing { ... on Thing { name inner { name } } }";
        let paths = [json!(["node", "name"]), json!(["node", "inner", "name"])];
        let is = json!({"node": {"name": null, "inner": {"name": null}}});
        assert_eq!(mended(query, json!({"node": {"inner": null}}), &paths), is);
    }

    #[test]
    fn two_failures_of_one_object_do_not_bring_it_back() {
        let query = "{ thing { id inner { id } } }";
        let paths =
            [json!(["thing", "id"]), json!(["thing", "inner", "id"]), json!(["thing", "name"])];
        assert_eq!(mended(query, json!({"thing": null}), &paths), json!({"thing": null}));
    }

    #[test]
    fn an_operation_that_never_ran_has_no_data() {
        let mut answer = Response::from_errors(vec![ServerError::new("no", None)]);
        let document = async_graphql::parser::parse_query("{ thing { id } }").expect("a query");
        mend(&mut answer, &Shapes::read(SDL), &document, None);
        assert_eq!(answer.data, Value::Null);
    }
}
