//! The whole core: databases in, flows out; reading and printing of what goes in and comes out; and one change in a settled agent.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ovn_benches::{Deployment, unsettled};
use ovn_core::Threads;
use std::hint::black_box;

/// 75,060 logical flows, of which 810 on the local datapath.
const LARGE: Deployment = Deployment { nodes: 100, ports: 250, addresses: 100 };

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    let dump = LARGE.southbound();
    group.throughput(Throughput::Bytes(dump.len() as u64));
    group.bench_function("dump", |b| {
        b.iter_with_large_drop(|| ovsdb::file::load::<ovsdb::Southbound>("sb", black_box(dump.as_bytes())));
    });
    group.finish();
}

fn translate(c: &mut Criterion) {
    let mut group = c.benchmark_group("translate");
    group.sample_size(10);
    for (name, deployment) in [
        ("10 nodes", Deployment { nodes: 10, ports: 20, addresses: 50 }),
        ("100 nodes", Deployment { nodes: 100, ports: 20, addresses: 50 }),
        ("100 nodes of 250 ports", LARGE),
    ] {
        let mut settled = unsettled(&deployment);
        settled.settle();
        group.throughput(Throughput::Elements(settled.flows().desired_len() as u64));
        for threads in [1, 2] {
            group.bench_function(format!("{name}, {threads} threads"), |b| {
                b.iter_batched(
                    || {
                        let mut agent = unsettled(&deployment);
                        agent.set_threads(Threads(threads));
                        agent
                    },
                    |mut agent| {
                        agent.settle();
                        agent
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.bench_function(format!("{name}, recompute"), |b| {
            b.iter(|| {
                settled.recompute();
                settled.settle();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read, translate);
criterion_main!(benches);
