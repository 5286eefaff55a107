//! The whole core: databases in, flows out; and one change of an address set in a settled agent.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ovn_benches::Deployment;
use ovn_core::Agent;
use ovn_core::model::{Config, External, SwitchFeatures};

fn agent(deployment: &Deployment) -> Agent {
    let sb = ovsdb::file::load("sb", deployment.southbound().as_bytes()).expect("a valid dump").database;
    let local = ovsdb::file::load("local", deployment.local().as_bytes()).expect("a valid dump").database;
    let features = SwitchFeatures { known: true, max_meters: 1000, max_groups: 1000, ..SwitchFeatures::default() };
    let config = Config { read_only: true, ..Config::default() };
    let mut agent = Agent::new(External { config, features, geneve_option: Some(0), ..External::default() });
    agent.adopt_replicas(sb, local);
    agent
}

fn translate(c: &mut Criterion) {
    let mut group = c.benchmark_group("translate");
    group.sample_size(10);
    for nodes in [10, 100] {
        let deployment = Deployment { nodes, ports: 20, addresses: 50 };
        let mut settled = agent(&deployment);
        settled.settle();
        group.throughput(Throughput::Elements(settled.flows().desired_len() as u64));
        group.bench_function(format!("{nodes} nodes"), |b| {
            b.iter_batched(|| agent(&deployment), |mut agent| agent.settle(), BatchSize::PerIteration);
        });
        group.bench_function(format!("{nodes} nodes, recompute"), |b| {
            b.iter(|| {
                settled.recompute();
                settled.settle();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, translate);
criterion_main!(benches);
