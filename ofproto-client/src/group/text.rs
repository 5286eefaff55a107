//! Groups as `ovs-ofctl -O OpenFlow15 dump-groups` prints them and `add-group` reads them.

use std::fmt;
use std::str::FromStr;

use super::{Bucket, Group, GroupType, SelectionMethod};
use crate::action::{ActionList, parse_actions};
use crate::error::Error;
use crate::field::Field;
use crate::flow::{GROUP_ANY, PORT_ANY};
use crate::flow_match::port_to_32;
use crate::text::{Read, Span, parse_value, port_to_16, write_port, write_value};

/// Names of the group types, by number.
const TYPES: [(&str, GroupType); 5] = [
    ("all", GroupType::All),
    ("select", GroupType::Select),
    ("indirect", GroupType::Indirect),
    ("ff", GroupType::FastFailover),
    ("fast_failover", GroupType::FastFailover),
];
/// A bucket id still to be chosen.
const NO_ID: u32 = u32::MAX;
/// `OFPG15_BUCKET_MAX`.
const BUCKET_MAX: u32 = 0xffff_ff00;
/// Longest name of a selection method.
const METHOD_MAX: usize = 15;

/// `group_id=1,type=select,selection_method=dp_hash,bucket=bucket_id:0,...,actions=...`.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TYPES.iter().find(|(_, kind)| *kind == self.group_type).map_or("unknown", |(name, _)| name);
        write!(f, "group_id={},type={name}", self.id)?;
        if let Some(method) = &self.selection_method {
            write!(f, ",selection_method={}", method.name)?;
            if method.param != 0 {
                write!(f, ",selection_method_param={}", method.param)?;
            }
            write_fields(f, &method.fields)?;
        }
        for bucket in &self.buckets {
            f.write_str(",bucket=")?;
            bucket.write(f, self.group_type)?;
        }
        Ok(())
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[(Field, u128)]) -> fmt::Result {
    let (open, close) = match fields.len() {
        0 => return Ok(()),
        1 => (",fields=", ""),
        _ => (",fields(", ")"),
    };
    f.write_str(open)?;
    for (i, (field, mask)) in fields.iter().enumerate() {
        write!(f, "{}{}", if i > 0 { "," } else { "" }, field.name())?;
        if *mask != field.all_ones() {
            f.write_str("=")?;
            write_value(f, *field, *mask, u128::MAX)?;
        }
    }
    f.write_str(close)
}

impl Bucket {
    fn write(&self, f: &mut fmt::Formatter<'_>, group_type: GroupType) -> fmt::Result {
        write!(f, "bucket_id:{},", self.id)?;
        if self.weight != u16::from(group_type == GroupType::Select) {
            write!(f, "weight:{},", self.weight)?;
        }
        if self.watch_port != PORT_ANY {
            f.write_str("watch_port:")?;
            match port_to_16(self.watch_port) {
                Some(port) => write_port(f, port)?,
                None => write!(f, "{}", self.watch_port)?,
            }
            f.write_str(",")?;
        }
        if self.watch_group != GROUP_ANY {
            write!(f, "watch_group:{},", self.watch_group)?;
        }
        write!(f, "actions={}", self.actions)
    }
}

/// Reads `dump-groups` lines and OVN's group strings: `group_id=N,type=select,bucket=weight:1,ct(...)`. Buckets without an id
/// get the lowest free one.
impl FromStr for Group {
    type Err = Error;

    fn from_str(text: &str) -> Result<Group, Error> {
        let whole = Span::new(text).trim();
        let mut reader = Reader::default();
        for item in whole.items() {
            reader.item(item)?;
        }
        reader.finish(whole)
    }
}

#[derive(Default)]
struct Reader {
    id: Option<u32>,
    group_type: Option<GroupType>,
    method: Option<SelectionMethod>,
    param: u64,
    fields: Vec<(Field, u128)>,
    buckets: Vec<BucketReader>,
}

struct BucketReader {
    id: u32,
    weight: Option<u16>,
    watch_port: u32,
    watch_group: u32,
    /// Start and end of the actions in the text.
    actions: Vec<crate::action::Action>,
}

impl Reader {
    fn item(&mut self, item: Span<'_>) -> Read<()> {
        if let Some(first) = item.strip_prefix("bucket=") {
            self.buckets.push(BucketReader {
                id: NO_ID,
                weight: None,
                watch_port: PORT_ANY,
                watch_group: GROUP_ANY,
                actions: Vec::new(),
            });
            return self.bucket_item(first);
        }
        if !self.buckets.is_empty() {
            return self.bucket_item(item);
        }
        if let Some(inside) = item.strip_prefix("fields(") {
            let text = inside.text.strip_suffix(')').unwrap_or(inside.text);
            return self.read_fields(Span { text, at: inside.at });
        }
        let Some((key, value)) = item.split_once("=") else {
            return item.error("group", "unknown word");
        };
        match key.text {
            "group_id" => self.id = Some(value.u32("group_id")?),
            "type" => match TYPES.iter().find(|(name, _)| *name == value.text) {
                Some((_, kind)) => self.group_type = Some(*kind),
                None => return value.error("group type", "unknown type"),
            },
            "selection_method" if value.text.len() <= METHOD_MAX => {
                self.method = Some(SelectionMethod { name: value.text.into(), param: 0, fields: Vec::new() });
            }
            "selection_method" => return value.error("selection_method", "too long"),
            "selection_method_param" => self.param = value.u64("selection_method_param")?,
            "fields" => self.read_fields(value)?,
            _ => return item.error("group", "unknown argument"),
        }
        Ok(())
    }

    fn read_fields(&mut self, text: Span<'_>) -> Read<()> {
        for item in text.items() {
            let (name, value) = item.split_once("=").map_or((item, None), |(name, value)| (name, Some(value)));
            let field = name.field()?;
            let mask = match value {
                Some(value) => parse_value(field, value)?.0,
                None => field.all_ones(),
            };
            self.fields.push((field, mask));
        }
        self.fields.sort_unstable();
        Ok(())
    }

    fn bucket_item(&mut self, item: Span<'_>) -> Read<()> {
        let Some(bucket) = self.buckets.last_mut() else {
            return item.error("bucket", "missing \"bucket=\"");
        };
        let (key, value) = match item.text.find([':', '=']) {
            Some(i) => (&item.text[..i], Span { text: &item.text[i + 1..], at: item.at + i + 1 }),
            None => (item.text, item),
        };
        match key {
            "bucket_id" => {
                bucket.id = value.u32("bucket_id")?;
                if bucket.id > BUCKET_MAX {
                    return value.error("bucket_id", "out of range");
                }
            }
            "weight" => bucket.weight = Some(value.u16("bucket weight")?),
            "watch_port" => bucket.watch_port = port_to_32(u128::from(value.port16()?)) as u32,
            "watch_group" => bucket.watch_group = value.u32("watch_group")?,
            "actions" | "action" => bucket.actions.append(&mut parse_actions(value)?),
            _ => bucket.actions.append(&mut parse_actions(item)?),
        }
        Ok(())
    }

    fn finish(self, whole: Span<'_>) -> Read<Group> {
        let Some(id) = self.id else {
            return whole.error("group", "missing \"group_id=\"");
        };
        let Some(group_type) = self.group_type else {
            return whole.error("group", "missing \"type=\"");
        };
        let mut taken: Vec<u32> = self.buckets.iter().map(|bucket| bucket.id).filter(|id| *id != NO_ID).collect();
        taken.sort_unstable();
        if taken.windows(2).any(|pair| pair.first() == pair.last()) {
            return whole.error("group", "two buckets of the same id");
        }
        let mut free = (0..BUCKET_MAX).filter(|id| taken.binary_search(id).is_err());
        let default_weight = u16::from(group_type == GroupType::Select);
        let bucket = |it: BucketReader| Bucket {
            id: if it.id == NO_ID { free.next().unwrap_or(BUCKET_MAX) } else { it.id },
            weight: it.weight.unwrap_or(default_weight),
            watch_port: it.watch_port,
            watch_group: it.watch_group,
            actions: ActionList::from(it.actions.as_slice()),
        };
        let buckets = self.buckets.into_iter().map(bucket).collect();
        let (param, fields) = (self.param, self.fields);
        let selection_method = self.method.map(|method| SelectionMethod { param, fields, ..method });
        Ok(Group { id, group_type, buckets, selection_method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ovn_group_strings() {
        let group: Group = "group_id=7,type=select,selection_method=dp_hash,bucket=weight:100,\
                            ct(nat(dst=10.0.0.2:80),commit,table=19,zone=NXM_NX_REG11[0..15],\
                            exec(set_field:2/2->ct_mark)),bucket=watch_port:3,load=0x10->NXM_NX_REG15[0..15],resubmit(,64)"
            .parse()
            .unwrap();
        assert_eq!(
            group.to_string(),
            "group_id=7,type=select,selection_method=dp_hash,bucket=bucket_id:0,weight:100,actions=ct(commit,table=19,\
             zone=NXM_NX_REG11[0..15],nat(dst=10.0.0.2:80),exec(set_field:0x2/0x2->ct_mark)),bucket=bucket_id:1,\
             watch_port:3,actions=set_field:0x10/0xffff->reg15,resubmit(,64)"
        );
    }

    #[test]
    fn bad_groups() {
        for (text, token) in [
            ("type=select,bucket=drop", "type=select,bucket=drop"),
            ("group_id=x,type=select", "x"),
            ("group_id=1,type=some", "some"),
            ("group_id=1,type=all,fields(foo)", "foo"),
            ("group_id=1,type=all,bucket=weight:x,drop", "x"),
            ("group_id=1,type=all,bucket=actions=outpt:1", "outpt:1"),
        ] {
            match text.parse::<Group>().unwrap_err() {
                Error::Text { token: at, position, .. } => {
                    assert_eq!(at, token);
                    assert_eq!(&text[position..position + token.len()], token);
                }
                other => panic!("{other}"),
            }
        }
    }
}
