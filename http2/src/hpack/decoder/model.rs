//! Tests: an encoder that uses all that the protocol has, at random, and a table so simple that it is right.

use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::{super::huffman::encoding, *};

type Field = (Vec<u8>, Vec<u8>);

/// What the encoder does between two blocks, and in the next one.
#[derive(Clone, Debug)]
struct Plan {
    limit: Option<usize>,
    sizes: Vec<Index>,
    fields: Vec<Written>,
}

/// A field, as it is written.
#[derive(Clone, Debug)]
enum Written {
    Indexed(Index),
    Literal { kind: Kind, name: Name, value: Octets },
}

#[derive(Clone, Debug)]
enum Name {
    Indexed(Index),
    Literal(Octets),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Added,
    NotAdded,
    NeverAdded,
}

/// A string.
#[derive(Clone, Debug)]
enum Octets {
    Plain(Vec<u8>),
    Coded(Vec<u8>),
}

/// Both sides' table.
struct Model {
    newest_first: Vec<Field>,
    bytes_max: usize,
    limit: usize,
}

impl Model {
    fn trim(&mut self) {
        let bytes = |fields: &[Field]| fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>();
        while bytes(&self.newest_first) > self.bytes_max {
            self.newest_first.pop();
        }
    }

    /// An index that exists, and its field.
    fn pick(&self, index: Index) -> (usize, Field) {
        let index = 1 + index.index(known::LAST + self.newest_first.len());
        let field = match index.checked_sub(known::LAST + 1) {
            Some(newer) => self.newest_first[newer].clone(),
            None => known::field(index).map(|(name, value)| (name.to_vec(), value.to_vec())).expect("exists"),
        };
        (index, field)
    }

    /// The block of a plan, and its fields.
    fn block(&mut self, plan: Plan) -> (Vec<u8>, Vec<Field>) {
        let (mut block, mut fields) = (Vec::new(), Vec::new());
        for size in plan.sizes {
            self.bytes_max = size.index(self.limit + 1);
            self.trim();
            numbers::put(0x20, 5, self.bytes_max, &mut block);
        }
        for written in plan.fields {
            fields.push(self.write(written, &mut block));
        }
        (block, fields)
    }

    fn write(&mut self, written: Written, block: &mut Vec<u8>) -> Field {
        let (kind, name, value) = match written {
            Written::Indexed(index) => {
                let (index, field) = self.pick(index);
                numbers::put(0x80, 7, index, block);
                return field;
            }
            Written::Literal { kind, name, value } => (kind, name, value),
        };
        let (first, bits) = match kind {
            Kind::Added => (0x40, 6),
            Kind::NotAdded => (0x00, 4),
            Kind::NeverAdded => (0x10, 4),
        };
        let name = match name {
            Name::Indexed(index) => {
                let (index, (name, _)) = self.pick(index);
                numbers::put(first, bits, index, block);
                name
            }
            Name::Literal(name) => {
                numbers::put(first, bits, 0, block);
                name.write(block)
            }
        };
        let field = (name, value.write(block));
        if let Kind::Added = kind {
            self.newest_first.insert(0, field.clone());
            self.trim();
        }
        field
    }
}

impl Octets {
    fn write(self, block: &mut Vec<u8>) -> Vec<u8> {
        let (first, octets, plain) = match self {
            Self::Plain(plain) => (0x00, plain.clone(), plain),
            Self::Coded(plain) => (0x80, encoding::encode(&plain), plain),
        };
        numbers::put(first, 7, octets.len(), block);
        block.extend(octets);
        plain
    }
}

fn octets() -> impl Strategy<Value = Octets> {
    let plain = || prop_oneof![4 => vec(b' '..=b'~', 0..12), 1 => vec(any::<u8>(), 0..200)];
    prop_oneof![plain().prop_map(Octets::Plain), plain().prop_map(Octets::Coded)]
}

fn written() -> impl Strategy<Value = Written> {
    let kind = prop_oneof![3 => Just(Kind::Added), 1 => Just(Kind::NotAdded), 1 => Just(Kind::NeverAdded)];
    let name = prop_oneof![any::<Index>().prop_map(Name::Indexed), octets().prop_map(Name::Literal)];
    let literal = (kind, name, octets()).prop_map(|(kind, name, value)| Written::Literal { kind, name, value });
    prop_oneof![any::<Index>().prop_map(Written::Indexed), literal]
}

fn plan() -> impl Strategy<Value = Plan> {
    let limit = option::weighted(0.2, 0..600_usize);
    let sizes = prop_oneof![4 => Just(vec![]), 1 => vec(any::<Index>(), 1..3)];
    let plan = (limit, sizes, vec(written(), 0..20));
    plan.prop_map(|(limit, sizes, fields)| Plan { limit, sizes, fields })
}

proptest! {
    #[test]
    fn any_encoder_is_understood(plans in vec(plan(), 1..12)) {
        let mut model = Model { newest_first: Vec::new(), bytes_max: 400, limit: 400 };
        let mut decoder = Decoder::new(400);
        for plan in plans {
            if let Some(limit) = plan.limit {
                decoder.limit(limit);
                model.limit = limit;
                model.trim();
            }
            let (block, fields) = model.block(plan);
            let mut list = Vec::new();
            let result = decoder.decode(&block, &mut |name, value| list.push((name.to_vec(), value.to_vec())));
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(list, fields);
            let held = (0..).map_while(|newer| decoder.table.field(newer));
            let held: Vec<_> = held.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(&held, &model.newest_first);
        }
    }
}
