//! Reads the inside of one named variant of an enum, without writing the name around it first.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess,
    Visitor,
};
use serde_json::Error;
use serde_json::de::SliceRead;

/// The value of `E` whose variant is called `name` in Rust and whose fields are this JSON object.
pub(crate) fn read<E: DeserializeOwned>(name: &'static str, data: &[u8]) -> Result<E, Error> {
    let mut json = serde_json::Deserializer::from_slice(data);
    let event = E::deserialize(Outside { name, json: &mut json })?;
    json.end()?;
    Ok(event)
}

type Json<'de> = serde_json::Deserializer<SliceRead<'de>>;

struct Outside<'j, 'de> {
    name: &'static str,
    json: &'j mut Json<'de>,
}

impl<'de> Deserializer<'de> for Outside<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'j, 'de> EnumAccess<'de> for Outside<'j, 'de> {
    type Error = Error;
    type Variant = Inside<'j, 'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Inside(self.json)))
    }
}

struct Inside<'j, 'de>(&'j mut Json<'de>);

impl<'de> VariantAccess<'de> for Inside<'_, 'de> {
    type Error = Error;

    /// A variant without fields is stored as an empty object; fields that a later program may have
    /// added are passed over, as everywhere.
    fn unit_variant(self) -> Result<(), Error> {
        serde::Deserialize::deserialize(self.0).map(|serde::de::IgnoredAny| ())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_struct("", fields, visitor)
    }
}
