//! Items: the catalogue as customers browse it.

use holdfast_domain::item::{Description, Event, Kind};
use holdfast_domain::{SeatMapId, Sku};
use holdfast_store::Position;

use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Value, word};
use crate::{Page, PageRequest, QueryError, ReadModels};

/// An item of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemRow {
    /// Its name.
    pub sku: Sku,
    /// What the catalogue says of it.
    pub description: Description,
    /// The map whose seats claim it.
    pub seat_map_id: Option<SeatMapId>,
    /// The event that changed it last.
    pub position: Position,
}

pub(crate) const ITEMS: Table = Table {
    name: "items",
    about: "The catalogue: one row an item.",
    columns: &[
        Column::text("sku"),
        Column::text("name"),
        Column::text("kind"),
        Column::text("category").or_null(),
        Column::int("price_minor"),
        Column::text("currency"),
        Column::int("max_per_user").or_null(),
        Column::text("on_decline"),
        Column::text("late_payment"),
        Column::flag("remote_unlock"),
        Column::text("seat_map_id").or_null(),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[
        Index { name: "items_by_category", columns: &["category", "sku"], early: false },
        Index { name: "items_by_seat_map", columns: &["seat_map_id"], early: false },
    ],
};

impl Stored for ItemRow {
    const TABLE: &'static Table = &ITEMS;
    type Key = Sku;

    fn key(&self) -> Sku {
        self.sku.clone()
    }

    fn key_values(sku: &Sku) -> Vec<Value> {
        vec![sku.as_str().into()]
    }

    fn values(&self) -> Vec<Value> {
        let it = &self.description;
        vec![
            self.sku.as_str().into(),
            it.name.as_str().into(),
            Value::word(&it.kind),
            it.category.clone().into(),
            Value::minor(it.price),
            it.price.currency.code().into(),
            it.max_per_user.into(),
            Value::word(&it.on_decline),
            Value::word(&it.late_payment),
            it.remote_unlock.into(),
            Value::show_or_null(self.seat_map_id.as_ref()),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            sku: row.parse()?,
            description: Description {
                name: row.text()?,
                kind: row.word()?,
                category: row.opt_text()?,
                price: row.money()?,
                max_per_user: row.opt_int()?,
                on_decline: row.word()?,
                late_payment: row.word()?,
                remote_unlock: row.flag()?,
            },
            seat_map_id: row.opt_parse()?,
            position: row.position()?,
        })
    }
}

/// How events change it.
pub(crate) struct Items {
    pub(crate) rows: Kept<ItemRow>,
}

impl Items {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    pub(crate) fn apply(&mut self, sku: &Sku, event: &Event, position: Position) {
        let (description, seat_map_id) = match event {
            Event::Created { description } => (description, None),
            Event::Changed { description, seat_map_id } => (description, seat_map_id.clone()),
        };
        let description = description.clone();
        self.rows.put(ItemRow { sku: sku.clone(), description, seat_map_id, position });
    }
}

impl ReadModels {
    /// One item.
    pub async fn item(&self, sku: &Sku) -> Result<Option<ItemRow>, QueryError> {
        self.one(&format!("{} WHERE sku = ?", ITEMS.select()), vec![sku.as_str().into()]).await
    }

    /// The item whose quota the seats of a map claim.
    pub async fn item_of_seat_map(&self, map: &SeatMapId) -> Result<Option<ItemRow>, QueryError> {
        let sql = format!("{} WHERE seat_map_id = ?", ITEMS.select());
        self.one(&sql, vec![map.as_str().into()]).await
    }

    /// The catalogue by sku, all of it or one category or kind.
    pub async fn items(
        &self,
        category: Option<&str>,
        kind: Option<Kind>,
        page: &PageRequest,
    ) -> Result<Page<ItemRow>, QueryError> {
        let mut sql = format!("{} WHERE sku > ?", ITEMS.select());
        let mut values: Vec<Value> = vec![page.after.as_deref().unwrap_or("").into()];
        if let Some(category) = category {
            sql.push_str(" AND category = ?");
            values.push(category.into());
        }
        if let Some(kind) = kind {
            sql.push_str(" AND kind = ?");
            values.push(word(&kind).into());
        }
        sql.push_str(" ORDER BY sku LIMIT ?");
        values.push(page.limit().into());
        let rows: Vec<ItemRow> = self.many(&sql, values).await?;
        Ok(Page::of(rows.into_iter().map(|row| (row.sku.to_string(), row)).collect(), page))
    }
}
