//! The GraphQL door. `contract.graphql` is what it promises; the published SDL is what it has.

mod audit;
mod common;
mod fleet;
pub(crate) mod http;
mod input;
mod inspection;
mod item;
pub(crate) mod limits;
mod loaders;
mod mend;
mod mutation;
mod notification;
mod outcome;
mod payment;
mod query;
mod refusal;
mod reservation;
mod scalars;
mod seatmap;
mod seats;
mod subscription;
mod ticket;
mod vehicle;
pub(crate) mod ws;

use std::sync::Arc;

use async_graphql::dataloader::DataLoader;
use async_graphql::{MergedObject, Request, Response, Schema, SchemaBuilder};
use futures::{Stream, StreamExt};

use crate::config::Limits;
use crate::door::Door;
use crate::who::Who;

pub(crate) use scalars::position as read_position;

/// What can be asked.
#[derive(MergedObject)]
pub(crate) struct Query(query::ShopQuery, fleet::FleetQuery);

/// What can be done.
#[derive(MergedObject)]
pub(crate) struct Mutation(mutation::ShopMutation, fleet::FleetMutation);

type Built = Schema<Query, Mutation, subscription::Subscription>;

/// The schema with what its resolvers lean on.
#[derive(Clone)]
pub(crate) struct GraphQl {
    pub(crate) door: Arc<Door>,
    pub(crate) schema: Built,
    shapes: Arc<mend::Shapes>,
}

fn build(limits: &Limits) -> SchemaBuilder<Query, Mutation, subscription::Subscription> {
    let query = Query(query::ShopQuery, fleet::FleetQuery);
    let mutation = Mutation(mutation::ShopMutation, fleet::FleetMutation);
    Schema::build(query, mutation, subscription::Subscription)
        .register_output_type::<refusal::Refusal>()
        // Judged by `limits` first, which knows introspection from the rest; these are the second wall.
        .limit_depth(limits.graphql_depth.max(limits::INTROSPECTION_DEPTH))
        .limit_recursive_depth(64)
        .limit_complexity(limits.graphql_complexity)
        .limit_directives(limits.graphql_directives)
        .disable_suggestions()
}

impl GraphQl {
    pub(crate) fn new(door: Arc<Door>) -> Self {
        let schema = build(&door.config.limits).data(door.clone()).finish();
        let shapes = Arc::new(mend::Shapes::read(&schema.sdl()));
        Self { door, schema, shapes }
    }

    /// Runs one operation to its end.
    async fn execute(&self, mut request: Request) -> Response {
        let operation = request.operation_name.clone();
        let document = request.parsed_query().cloned();
        let mut answer = self.schema.execute(request).await;
        if let Ok(document) = document {
            mend::mend(&mut answer, &self.shapes, &document, operation.as_deref());
        }
        http::finished(answer)
    }

    /// Runs an operation that may have many answers.
    fn execute_stream(&self, mut request: Request) -> impl Stream<Item = Response> + use<> {
        let operation = request.operation_name.clone();
        let document = request.parsed_query().cloned().ok();
        let shapes = self.shapes.clone();
        self.schema.execute_stream(request).map(move |mut answer| {
            if let Some(document) = &document {
                mend::mend(&mut answer, &shapes, document, operation.as_deref());
            }
            http::finished(answer)
        })
    }

    /// What resolvers find with a request.
    fn with_data(&self, request: Request, who: &Who) -> Request {
        let rows = loaders::Rows(self.door.reads.clone());
        request.data(who.clone()).data(DataLoader::new(rows, tokio::spawn))
    }
}

/// The schema definition that is published under `schemas/graphql`.
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items();
    build(&Limits::default()).finish().sdl_with_options(options)
}
