//! `herald show pools`: a line for each family of a pool.

use comfy_table::Cell;

use super::bad;
use crate::status::{PoolFamilyStatus, PoolStatus};

/// From here on it does not matter how many there are.
const VERY_MANY: u64 = 1_000_000_000_000;

pub(super) fn table(pools: &[PoolStatus], wide: bool) -> String {
    let mut heads = vec!["POOL", "ADDRESSES", "AUTO", "SIZE", "IN USE", "FREE"];
    if wide {
        heads.push("WHO");
    }
    let rows = pools.iter().flat_map(|pool| {
        let families = pool.families.iter();
        families.map(move |family| row(pool, family, wide))
    });
    let empty = "no pools; add a [[pool]] to the configuration file";
    super::table(&heads, rows, wide, empty)
}

fn row(pool: &PoolStatus, family: &PoolFamilyStatus, wide: bool) -> Vec<Cell> {
    let mut row = vec![
        Cell::new(&pool.name),
        Cell::new(family.addresses.join("\n")),
        Cell::new(if pool.auto_assign { "yes" } else { "no" }),
        number(family.size),
        number(family.in_use),
        match family.free {
            0 => bad("0"),
            free => number(free),
        },
    ];
    if wide {
        let holders = family.holders.iter().map(|holder| {
            let who = holder.service.as_deref().unwrap_or(&holder.holder);
            let how = match (&holder.service, holder.assigned) {
                (Some(_), false) => " (fixed)",
                _ => "",
            };
            format!("{} {who}{how}", holder.address)
        });
        row.push(Cell::new(holders.collect::<Vec<_>>().join("\n")));
    }
    row
}

fn number(number: u64) -> Cell {
    match number {
        VERY_MANY.. => Cell::new("> 10^12"),
        number => Cell::new(number),
    }
}
