//! Logical flows on local datapaths: `consider_logical_flow__` of controller/lflow.c, OVN 26.03. Sheet 02 sections 2 and 3.
//!
//! The texts are translated in three steps. What depends on the text alone is compiled once and cached ([`Caches`]); what
//! depends on named sets or template variables is compiled for each datapath; ports, residency, groups and meters are
//! resolved for each datapath, every question being a recorded dependency.
//!
//! [`Caches`]: crate::caches::Caches

use ofproto_client::{Action, ActionList, Field};
use ovn_lang::actions::NatZone;
use ovn_lang::{
    ActionParse, AddressSet as ConstantSet, Conjunction, ConstantSets, EncodeContext, EncodeParams, Error as TextError,
    Expr, Limits, Matches, NoSets, Normalized, OptionTable, Pipeline, SymbolTable, encode_actions, expand_templates,
    parse_actions,
};
use ovsdb::tables::Tracked;
use ovsdb::{RowId, Str};
use smallvec::SmallVec;
use std::sync::Arc;

use super::layout;
use crate::caches::{Compilation, Compiled, Matching, TextKey};
use crate::facts::{
    AddressSet, ChassisResident, CollectorSet, Datapath, DhcpDictionaries, EncodingOptions, IsRelated, IsRelatedKey,
    LocalBackend, PortByName, PortGroup, PortKey, TemplateVariable, TunnelsTo,
};
use crate::reader::Reader;
use crate::rows::{Chassis, LogicalFlow, PortBinding};
use crate::units::{DesiredFlow, Output};
use crate::view::datapaths::Datapath as DatapathView;
use crate::view::flag;

/// Flows of one Logical_Flow on one datapath.
pub fn lflow(r: &Reader<'_>, lflow: RowId, datapath: RowId, out: &mut Output) {
    if translated(r, lflow, datapath, out) == 0 {
        // It may have had some before.
        r.pools().borrow_mut().conjunctions.free((lflow, datapath));
    }
}

/// Translates, and says how many conjunction ids the result holds.
fn translated(r: &Reader<'_>, lflow: RowId, datapath: RowId, out: &mut Output) -> u32 {
    let Some(row) = r.row::<LogicalFlow>(lflow) else { return 0 };
    let Some(view) = r.fact(Datapath(datapath)) else { return 0 };
    if let Some(port) = row.tags().get("in_out_port")
        && !r.fact(PortByName(port.clone())).is_some_and(|port| r.fact(IsRelated(port)))
    {
        return 0;
    }
    let this = This { r, row, lflow, datapath, view };
    this.translate(out).unwrap_or_else(|why| {
        out.diagnostics.push(format!(
            "Logical_Flow {} ({} table {}, priority {}{}{}): {why}",
            row.uuid(),
            row.pipeline(),
            row.table_id(),
            row.priority(),
            row.tags().get("acl_id").map(|id| format!(", ACL {id}")).unwrap_or_default(),
            row.flow_desc().map(|text| format!(", {text:?}")).unwrap_or_default(),
        ));
        0
    })
}

/// One lflow on one datapath while it is being translated.
struct This<'r, 'a> {
    r: &'r Reader<'a>,
    row: Tracked<'r, LogicalFlow, Reader<'a>>,
    lflow: RowId,
    datapath: RowId,
    view: DatapathView,
}

impl This<'_, '_> {
    fn translate(&self, out: &mut Output) -> Result<u32, String> {
        let key = self.text_key()?;
        if self.matches_no_port(&key) {
            return Ok(0);
        }
        let compiled = self.compile(key.clone())?;
        let matches = self.matches(&key, &compiled.matching)?;
        let matches = self.relevant(matches, key.pipeline);
        if matches.flows.is_empty() {
            return Ok(0);
        }
        let mut actions = Vec::new();
        let params = self.encode_params(key.pipeline, out);
        let mut context = Context { this: self, out };
        encode_actions(&compiled.actions, &params, &mut context, &mut actions);
        self.install(matches, key, &actions, out)
    }

    /// The texts with template variables replaced, and where in the pipeline they stand.
    fn text_key(&self) -> Result<TextKey, String> {
        let pipeline = match self.row.pipeline().as_str() {
            "ingress" => Pipeline::Ingress,
            "egress" => Pipeline::Egress,
            other => return Err(format!("unknown pipeline \"{other}\"")),
        };
        let table = u8::try_from(self.row.table_id()).ok().filter(|table| *table < pipeline.n_tables());
        let table =
            table.ok_or_else(|| format!("no table {} in the {} pipeline", self.row.table_id(), pipeline.name()))?;
        Ok(TextKey {
            match_: self.expand("match", self.row.r#match())?,
            actions: self.expand("actions", self.row.actions())?,
            pipeline,
            table,
            acl_ct: flag(self.row.tags(), "acl_ct_translation"),
        })
    }

    fn expand(&self, what: &str, text: &Str) -> Result<Str, String> {
        let value = |name: &str| self.r.fact(TemplateVariable(Str::from(name)));
        match expand_templates(text, value) {
            Ok(std::borrow::Cow::Borrowed(_)) => Ok(text.clone()),
            Ok(std::borrow::Cow::Owned(text)) => Ok(Str::from(text)),
            Err(missing) => Err(TextError::new(missing.offset, missing.to_string()).in_text(what, text)),
        }
    }

    /// Whether the match asks for a port of a group that has none here. Most switches that a group has ports on are elsewhere, and then
    /// the members of address sets are not looked at, nor does it matter when they change.
    fn matches_no_port(&self, key: &TextKey) -> bool {
        if !key.match_.contains('@') {
            return false;
        }
        let sets = PortGroups(Sets { r: self.r, datapath_key: self.view.key });
        // What cannot be read is reported when it is compiled.
        Expr::parse(&key.match_, symbols(key), &sets).is_ok_and(|expr| expr.known() == Some(false))
    }

    /// From the cache when the texts alone decide the result.
    fn compile(&self, key: TextKey) -> Result<Arc<Compiled>, String> {
        if key.match_.contains(['$', '@']) {
            let sets = Sets { r: self.r, datapath_key: self.view.key };
            return self.compile_with(&key, &sets).map(Arc::new);
        }
        if key.actions.contains("dhcp") {
            return self.compile_with(&key, &NoSets).map(Arc::new);
        }
        let compiled = self.r.caches().borrow_mut().compiled(key, compile_independent);
        compiled.map_err(|error| error.to_string())
    }

    fn compile_with(&self, key: &TextKey, sets: &dyn ConstantSets) -> Result<Compiled, String> {
        if !key.actions.contains("dhcp") {
            let none = OptionTable::new();
            return compile(key, sets, &none, &none);
        }
        let dictionaries = self.r.fact(DhcpDictionaries);
        compile(key, sets, &dictionaries.v4, &dictionaries.v6)
    }

    fn matches(&self, key: &TextKey, matching: &Matching) -> Result<Matches, String> {
        let evaluated;
        let normalized = match matching {
            Matching::Normalized(normalized) => normalized,
            Matching::Conditional(expr) => {
                let expr = expr.clone().evaluate(&mut |port| self.r.fact(ChassisResident(Str::from(port))));
                evaluated = normalize(key, &expr)?;
                &evaluated
            }
        };
        let matches = normalized.to_matches(&mut |name| self.port_key(name));
        matches.map_err(|error| too_complex(key, &error))
    }

    /// The key of a port or multicast group of this datapath; `none` is no port.
    fn port_key(&self, name: &str) -> Option<u32> {
        match name {
            "none" => Some(0),
            _ => self.r.fact(PortKey(self.datapath, Str::from(name))),
        }
    }

    /// Without the matches on ports of a switch that do not matter here: lflow.c `lflow_handle_..._port` test of reg14 in the
    /// ingress and reg15 in the egress pipeline, by value, the mask being ignored.
    fn relevant(&self, mut matches: Matches, pipeline: Pipeline) -> Matches {
        if self.view.is_switch {
            let field = if pipeline == Pipeline::Ingress { layout::INPORT } else { layout::OUTPORT };
            // A thousand addresses for one port are asked about once.
            let mut last = None;
            matches.flows.retain(|flow| match flow.match_.get(field) {
                Some((key, _)) if key != 0 => match last {
                    Some((of, is_related)) if of == key => is_related,
                    _ => {
                        let is_related = self.r.fact(IsRelatedKey(self.view.key, key as u32));
                        last = Some((key, is_related));
                        is_related
                    }
                },
                _ => true,
            });
        }
        matches
    }

    fn encode_params(&self, pipeline: Pipeline, out: &mut Output) -> EncodeParams {
        let r = self.r;
        let options = r.fact(EncodingOptions);
        let controller_meter = match self.row.controller_meter() {
            Some(name) if options.meters_supported => self.meter_id(name, out).unwrap_or(0),
            _ => 0,
        };
        EncodeParams {
            is_switch: self.view.is_switch,
            datapath_key: self.view.key,
            lflow_uuid: self.row.uuid().0,
            pipeline,
            common_nat_zone: if self.view.snat_ct_zone.is_some() { NatZone::Snat } else { NatZone::Dnat },
            ct_zero_snat: options.ct_zero_snat,
            explicit_arp_ns_output: options.explicit_arp_ns_output,
            register_consolidation: options.register_consolidation,
            dp_hash_l4_symmetric: options.dp_hash_l4_symmetric,
            meters_supported: options.meters_supported,
            controller_meter,
        }
    }

    fn meter_id(&self, name: &str, out: &mut Output) -> Option<u32> {
        let id = self.r.pools().borrow_mut().meters.id(name);
        match id {
            Some(id) if !out.meters.contains(&id) => out.meters.push(id),
            Some(_) => {}
            None => out.diagnostics.push(format!("Logical_Flow {}: no meter id left for \"{name}\"", self.row.uuid())),
        }
        id
    }

    fn install(&self, mut matches: Matches, key: TextKey, actions: &[Action], out: &mut Output) -> Result<u32, String> {
        let priority = self.row.priority();
        let priority = u16::try_from(priority).map_err(|_| format!("priority {priority} is not in 0..65535"))?;
        if matches.n_conjunctions > 0 {
            let uuids =
                (self.row.uuid(), self.r.row::<crate::rows::DatapathBinding>(self.datapath).map(|dp| dp.uuid()));
            let owner = (self.lflow, self.datapath);
            let uuids = (uuids.0, uuids.1.unwrap_or_default());
            let start = self.r.pools().borrow_mut().conjunctions.allocate(owner, uuids, matches.n_conjunctions);
            matches.rebase(start.ok_or("32-bit conjunction ids exhausted")?);
        }
        let base = if key.pipeline == Pipeline::Ingress { layout::LOG_INGRESS } else { layout::LOG_EGRESS };
        let cookie = u64::from(self.row.uuid().short());
        let encoded = ActionList::from(actions);
        out.flows.reserve(matches.flows.len());
        // The addresses of a set are all in the same clauses.
        let mut last = (SmallVec::new(), ActionList::DROP);
        for flow in matches.flows {
            let mut match_ = flow.match_;
            match_.set(Field::METADATA, u128::from(self.view.key));
            if flow.conjunctions != last.0 {
                last.1 = memberships(&flow.conjunctions);
                last.0 = flow.conjunctions;
            }
            let (cookie, actions) = if last.0.is_empty() { (cookie, &encoded) } else { (0, &last.1) };
            let actions = actions.clone();
            out.flows.push(DesiredFlow { table: base + key.table, priority, cookie, match_, actions });
        }
        Ok(matches.n_conjunctions)
    }
}

/// The actions of a flow that is in these clauses of conjunctions.
fn memberships(conjunctions: &[Conjunction]) -> ActionList {
    let action = |c: &Conjunction| Action::Conjunction { clause: c.clause, n_clauses: c.n_clauses, id: c.id };
    ActionList::from(conjunctions.iter().map(action).collect::<SmallVec<[Action; 4]>>().as_slice())
}

/// The texts of a row, if what they compile to depends on nothing else: then it can be done before the unit runs. Not those that may not be
/// needed, because they are for one port.
pub fn independent_text(row: &LogicalFlow) -> Option<TextKey> {
    if row.tags.contains_key("in_out_port") {
        return None;
    }
    let pipeline = match row.pipeline.as_str() {
        "ingress" => Pipeline::Ingress,
        "egress" => Pipeline::Egress,
        _ => return None,
    };
    let table = u8::try_from(row.table_id).ok().filter(|table| *table < pipeline.n_tables())?;
    let dependent = row.r#match.contains(['$', '@', '^']) || row.actions.contains('^') || row.actions.contains("dhcp");
    let acl_ct = flag(&row.tags, "acl_ct_translation");
    (!dependent).then(|| TextKey { match_: row.r#match.clone(), actions: row.actions.clone(), pipeline, table, acl_ct })
}

/// Compiles texts that depend on nothing else.
pub fn compile_independent(key: &TextKey) -> Compilation {
    let none = OptionTable::new();
    compile(key, &NoSets, &none, &none).map(Arc::new).map_err(Arc::from)
}

/// The fields that a match may name.
fn symbols(key: &TextKey) -> &'static SymbolTable {
    if key.acl_ct { SymbolTable::acl_ct() } else { SymbolTable::main() }
}

/// Everything that can be done with the texts and the named sets.
fn compile(key: &TextKey, sets: &dyn ConstantSets, v4: &OptionTable, v6: &OptionTable) -> Result<Compiled, String> {
    let params = ActionParse {
        symbols: SymbolTable::main(),
        dhcp_v4: v4,
        dhcp_v6: v6,
        pipeline: key.pipeline,
        table: key.table,
        n_tables: key.pipeline.n_tables(),
    };
    let (actions, prerequisites) =
        parse_actions(&key.actions, &params).map_err(|error| error.in_text("actions", &key.actions))?;
    let expr = Expr::parse(&key.match_, symbols(key), sets).map_err(|error| error.in_text("match", &key.match_))?;
    let expr = match prerequisites {
        Some(prerequisites) => expr.and(prerequisites),
        None => expr,
    };
    let expr = expr.annotate().simplify();
    let matching = match expr.has_conditions() {
        true => Matching::Conditional(expr),
        false => Matching::Normalized(normalize(key, &expr)?),
    };
    Ok(Compiled { actions, matching })
}

fn normalize(key: &TextKey, expr: &Expr) -> Result<Normalized, String> {
    expr.normalize(Limits::default()).map_err(|error| too_complex(key, &error))
}

/// It is the match as a whole that is wrong.
fn too_complex(key: &TextKey, error: &dyn std::error::Error) -> String {
    TextError::new(0, error.to_string()).in_text("match", &key.match_)
}

/// Address sets and port groups as the facts have them.
struct Sets<'r, 'a> {
    r: &'r Reader<'a>,
    datapath_key: u32,
}

impl ConstantSets for Sets<'_, '_> {
    fn address_set(&self, name: &str) -> Option<Arc<ConstantSet>> {
        self.r.fact(AddressSet(Str::from(name)))
    }

    fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>> {
        self.r.fact(PortGroup(self.datapath_key, Str::from(name)))
    }
}

/// Port groups as the facts have them, and any address set.
struct PortGroups<'r, 'a>(Sets<'r, 'a>);

impl ConstantSets for PortGroups<'_, '_> {
    fn address_set(&self, _name: &str) -> Option<Arc<ConstantSet>> {
        Some(Arc::new(ConstantSet::placeholder()))
    }

    fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>> {
        self.0.port_group(name)
    }
}

/// What the encoder of actions asks.
struct Context<'c, 'r, 'a> {
    this: &'c This<'r, 'a>,
    out: &'c mut Output,
}

impl EncodeContext for Context<'_, '_, '_> {
    fn port_key(&mut self, name: &str) -> Option<u32> {
        self.this.port_key(name)
    }

    fn is_local_backend(&mut self, lport: &str) -> bool {
        self.this.r.fact(LocalBackend(Str::from(lport)))
    }

    fn tunnel_ofport(&mut self, lport: &str) -> Option<u16> {
        let r = self.this.r;
        let port = r.row::<PortBinding>(r.fact(PortByName(Str::from(lport)))?)?;
        let chassis = r.find::<Chassis>(&port.chassis()?)?;
        r.fact(TunnelsTo(chassis.name().clone())).first().map(|tunnel| tunnel.ofport)
    }

    fn group_id(&mut self, key: &str) -> Option<u32> {
        let id = self.this.r.pools().borrow_mut().groups.id(key);
        match id {
            Some(id) if !self.out.groups.contains(&id) => self.out.groups.push(id),
            Some(_) => {}
            None => {
                let uuid = self.this.row.uuid();
                self.out.diagnostics.push(format!("Logical_Flow {uuid}: no group id left for \"{key}\""));
            }
        }
        id
    }

    fn meter_id(&mut self, name: &str) -> Option<u32> {
        self.this.meter_id(name, self.out)
    }

    fn collector_set_exists(&mut self, id: u32) -> bool {
        self.this.r.fact(CollectorSet(i64::from(id)))
    }
}
