//! What is published is what is served, and it covers what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    InputValueDefinition, ServiceDocument, TypeDefinition, TypeKind, TypeSystemDefinition,
};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Compares a published file with what the program says; `HOLDFAST_BLESS=1` writes it anew.
fn published(path: &str, now: &str) {
    let path = workspace().join(path);
    if std::env::var_os("HOLDFAST_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let then = std::fs::read_to_string(&path).unwrap_or_default();
    let shown = path.strip_prefix(workspace()).unwrap_or(&path).display();
    assert!(
        then == now,
        "{shown} is not what is served: look at the difference, then set HOLDFAST_BLESS=1"
    );
}

#[test]
fn the_published_sdl_is_what_is_served() {
    published("schemas/graphql/holdfast.graphql", &holdfast_api::sdl());
}

#[test]
fn the_published_openapi_document_is_what_is_served() {
    let document = holdfast_api::openapi_document(env!("CARGO_PKG_VERSION"));
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    published("schemas/openapi/holdfast.json", &text);
}

/// What `contract.graphql` promises for later: carts, users and roles.
const LATER: &[&str] = &[
    "CartLine",
    "Cart",
    "CartSuccess",
    "CartResult",
    "CartItemInput",
    "CartItemsInput",
    "MergeCartInput",
    "CheckoutCartInput",
    "Session",
    "SessionSuccess",
    "SessionResult",
    "RegisterInput",
    "CreateRoleInput",
    "GrantRoleInput",
    // fields
    "Query.cart",
    "Mutation.setCartItem",
    "Mutation.checkoutCart",
    "Mutation.mergeCart",
    "Mutation.register",
    "Mutation.login",
    "Mutation.refreshSession",
    "Mutation.logout",
    "Mutation.createRole",
    "Mutation.grantRole",
];

fn contract() -> ServiceDocument {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("shared/contract.graphql"))
        .find(|path| path.exists());
    let path = found.expect(
        "shared/contract.graphql must lie in a directory beside one of those above this crate: \
         it is what the schema is judged by",
    );
    parse_schema(std::fs::read_to_string(path).unwrap()).expect("the contract is GraphQL")
}

fn types(document: &ServiceDocument) -> BTreeMap<String, &TypeDefinition> {
    let definitions = document.definitions.iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(kind) => Some((kind.node.name.node.to_string(), &kind.node)),
        TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => None,
    });
    definitions.collect()
}

fn later(name: &str) -> bool {
    LATER.contains(&name)
}

type Fields = BTreeMap<String, (String, BTreeMap<String, String>)>;

/// Fields with their types and the types of their arguments.
fn fields(kind: &TypeDefinition) -> Fields {
    let args = |args: &[async_graphql::Positioned<InputValueDefinition>]| {
        args.iter()
            .map(|arg| (arg.node.name.node.to_string(), arg.node.ty.node.to_string()))
            .collect()
    };
    match &kind.kind {
        TypeKind::Object(object) => object
            .fields
            .iter()
            .map(|f| {
                (
                    f.node.name.node.to_string(),
                    (f.node.ty.node.to_string(), args(&f.node.arguments)),
                )
            })
            .collect(),
        TypeKind::Interface(interface) => interface
            .fields
            .iter()
            .map(|f| {
                (
                    f.node.name.node.to_string(),
                    (f.node.ty.node.to_string(), args(&f.node.arguments)),
                )
            })
            .collect(),
        TypeKind::InputObject(input) => input
            .fields
            .iter()
            .map(|f| (f.node.name.node.to_string(), (f.node.ty.node.to_string(), BTreeMap::new())))
            .collect(),
        TypeKind::Scalar | TypeKind::Union(_) | TypeKind::Enum(_) => BTreeMap::new(),
    }
}

/// Names that belong to a type: enum values, union members, interfaces.
fn members(kind: &TypeDefinition) -> BTreeSet<String> {
    match &kind.kind {
        TypeKind::Enum(values) => {
            values.values.iter().map(|v| v.node.value.node.to_string()).collect()
        }
        TypeKind::Union(union) => union.members.iter().map(|m| m.node.to_string()).collect(),
        TypeKind::Object(object) => object.implements.iter().map(|i| i.node.to_string()).collect(),
        TypeKind::Scalar | TypeKind::Interface(_) | TypeKind::InputObject(_) => BTreeSet::new(),
    }
}

#[test]
fn the_schema_covers_the_contract_for_what_there_is() {
    let contract = contract();
    let served = parse_schema(holdfast_api::sdl()).expect("our own SDL is GraphQL");
    let (promised, served) = (types(&contract), types(&served));
    let mut missing = Vec::new();
    for (name, promise) in promised.iter().filter(|(name, _)| !later(name)) {
        let Some(kept) = served.get(name) else {
            missing.push(format!("type {name}"));
            continue;
        };
        if std::mem::discriminant(&promise.kind) != std::mem::discriminant(&kept.kind) {
            missing.push(format!("{name} is of another kind"));
        }
        for member in members(promise).difference(&members(kept)) {
            if !later(member) {
                missing.push(format!("{name}: {member}"));
            }
        }
        let kept_fields = fields(kept);
        for (field, (kind, args)) in fields(promise) {
            let full = format!("{name}.{field}");
            if later(&full) || later(kind.trim_matches(['[', ']', '!'])) {
                continue;
            }
            let Some((kept_kind, kept_args)) = kept_fields.get(&field) else {
                missing.push(full);
                continue;
            };
            if *kept_kind != kind {
                missing.push(format!("{full}: {kind}, not {kept_kind}"));
            }
            for (arg, kind) in args {
                if kept_args.get(&arg) != Some(&kind) {
                    missing.push(format!("{full}({arg}: {kind}), not {:?}", kept_args.get(&arg)));
                }
            }
        }
        // An input may say more, but must not ask for more.
        if let TypeKind::InputObject(_) = promise.kind {
            let promised: BTreeSet<_> = fields(promise).into_keys().collect();
            for (field, (kind, _)) in kept_fields {
                if kind.ends_with('!') && !promised.contains(&field) {
                    missing.push(format!("{name}.{field} is asked for, and the contract does not"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "the contract is not kept:\n  {}", missing.join("\n  "));
}

#[test]
fn every_root_field_has_a_rule_and_every_rule_a_field() {
    let document = parse_schema(holdfast_api::sdl()).unwrap();
    let types = types(&document);
    let mut served = BTreeSet::new();
    for root in ["Query", "Mutation", "Subscription"] {
        served.extend(fields(types[root]).into_keys().map(|field| format!("{root}.{field}")));
    }
    let ruled: BTreeSet<_> =
        holdfast_api::FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ruled.len(), holdfast_api::FIELDS.len(), "a field has two rules");
    let none: Vec<_> = served.difference(&ruled).collect();
    let stale: Vec<_> = ruled.difference(&served).collect();
    assert!(
        none.is_empty() && stale.is_empty(),
        "without a rule: {none:?}; without a field: {stale:?}"
    );
}
