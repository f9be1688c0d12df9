//! JSON: an array, or an object of arrays. Numbers go into their place as they are read; no tree is built.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::array::Array;

/// The key that stands for "all inputs, in order".
const ALL: &str = "input_data";

/// Characters of a message of the parser.
const MAX_MESSAGE: usize = 200;

/// What a file is at its top.
#[derive(Debug)]
pub(super) enum Top {
    /// Arrays in the order of the inputs: the file itself, or what an object has under `input_data`.
    Unnamed { within: bool },
    /// Arrays under these names.
    Named(Vec<String>),
}

/// Looks at the top of a file; all of it must be JSON.
pub(super) fn top(bytes: &[u8]) -> Result<Top, String> {
    read(bytes, TopSeed)
}

/// The arrays of a file of [`Top::Unnamed`]: one for each input in order; with one input, all of it.
pub(super) fn unnamed(bytes: &[u8], within: bool, inputs: usize) -> Result<Vec<Array>, String> {
    let all = Unnamed { inputs };
    if within {
        let mut found = vec![Vec::new()];
        let pick = |key: &str| (key == ALL).then_some(0);
        read(
            bytes,
            Fields {
                pick,
                seed: all,
                found: &mut found,
            },
        )?;
        Ok(found.swap_remove(0))
    } else {
        read(bytes, all)
    }
}

/// The arrays of the given names of a file of [`Top::Named`].
pub(super) fn named(bytes: &[u8], names: &[&str]) -> Result<Vec<Array>, String> {
    let mut found: Vec<Array> = names.iter().map(|_| Array::default()).collect();
    let pick = |key: &str| names.iter().position(|name| *name == key);
    read(
        bytes,
        Fields {
            pick,
            seed: Whole,
            found: &mut found,
        },
    )?;
    Ok(found)
}

fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    // A message may quote a string of the file, of any length.
    let short = |e: serde_json::Error| e.to_string().chars().take(MAX_MESSAGE).collect::<String>();
    let value = seed.deserialize(&mut json).map_err(short)?;
    json.end().map_err(short)?;
    Ok(value)
}

struct TopSeed;

impl<'de> DeserializeSeed<'de> for TopSeed {
    type Value = Top;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Top, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TopSeed {
    type Value = Top;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array, or an object of arrays")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Top, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Top::Unnamed { within: false })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Top, A::Error> {
        let mut names: Vec<String> = Vec::new();
        while let Some((name, IgnoredAny)) = fields.next_entry()? {
            names.push(name);
        }
        let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(A::Error::custom(format!("it holds `{}` twice", twice[0])));
        }
        Ok(if sorted.binary_search(&ALL).is_ok() {
            Top::Unnamed { within: true }
        } else {
            Top::Named(names)
        })
    }
}

/// Reads with `seed` what an object has under the keys that `pick` gives a place in `found`.
struct Fields<'a, P, S, T> {
    pick: P,
    seed: S,
    found: &'a mut [T],
}

impl<'de, P, S, T> DeserializeSeed<'de> for Fields<'_, P, S, T>
where
    P: Fn(&str) -> Option<usize>,
    S: DeserializeSeed<'de, Value = T> + Copy,
{
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, P, S, T> Visitor<'de> for Fields<'_, P, S, T>
where
    P: Fn(&str) -> Option<usize>,
    S: DeserializeSeed<'de, Value = T> + Copy,
{
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of arrays")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            match (self.pick)(&name) {
                Some(at) => self.found[at] = fields.next_value_seed(self.seed)?,
                None => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// An array for each input, in order.
#[derive(Clone, Copy)]
struct Unnamed {
    inputs: usize,
}

impl<'de> DeserializeSeed<'de> for Unnamed {
    type Value = Vec<Array>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Vec<Array>, D::Error> {
        if self.inputs == 1 {
            Ok(vec![Whole.deserialize(json)?])
        } else {
            json.deserialize_seq(self)
        }
    }
}

impl<'de> Visitor<'de> for Unnamed {
    type Value = Vec<Array>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an array for each of the {} inputs", self.inputs)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Array>, A::Error> {
        let mut arrays = Vec::new();
        while arrays.len() < self.inputs
            && let Some(array) = items.next_element_seed(Whole)?
        {
            arrays.push(array);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(arrays)
    }
}

/// All numbers of a value, in order, with its shape.
#[derive(Clone, Copy)]
struct Whole;

impl<'de> DeserializeSeed<'de> for Whole {
    type Value = Array;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Array, D::Error> {
        let mut array = Array::default();
        let level = Level {
            array: &mut array,
            depth: 0,
        };
        level.deserialize(json)?;
        Ok(array)
    }
}

/// What stands for a level's size until its first array ends.
const OPEN: usize = usize::MAX;

/// A value within `depth` nested arrays; the first array of each depth says the size of all of them.
struct Level<'a> {
    array: &'a mut Array,
    depth: usize,
}

fn ragged<E: Error>() -> E {
    E::custom("its nested arrays differ in length or depth; give each the same")
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("numbers, truth values, or arrays of them")
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if self.array.shape.len() != self.depth {
            return Err(ragged());
        }
        self.array.values.push(value as f32);
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.visit_f64(f64::from(u8::from(value)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Level { array, depth } = self;
        if array.shape.len() == depth {
            if !array.values.is_empty() {
                return Err(ragged());
            }
            array.shape.push(OPEN);
        }
        let mut count = 0;
        loop {
            let level = Level {
                array: &mut *array,
                depth: depth + 1,
            };
            if items.next_element_seed(level)?.is_none() {
                break;
            }
            count += 1;
        }
        match &mut array.shape[depth] {
            size if *size == OPEN => *size = count,
            size if *size == count => {}
            _ => return Err(ragged()),
        }
        Ok(())
    }
}
