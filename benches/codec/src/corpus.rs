//! The messages, octet by octet and the same in each run. None of the codecs has a hand in them.
//!
//! Attributes stand in ascending order of type, MP_REACH_NLRI too, and communities are ascending
//! and distinct, because one of the codecs keeps them in a set.

/// Messages of one kind.
pub struct Shape {
    pub name: &'static str,
    pub messages: Vec<Vec<u8>>,
}

pub fn shapes() -> Vec<Shape> {
    let one = |name, message| Shape {
        name,
        messages: vec![message],
    };
    vec![
        one("OPEN", open()),
        one("KEEPALIVE", message(4, &[])),
        one("1 x /32", hosts(1)),
        one("full, /32s", hosts(808)),
        one("100 x /128", hosts_v6(100)),
        Shape {
            name: "table mix",
            messages: table_mix(10_000),
        },
    ]
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    /// `low..=high`
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.between(1, 100) <= chance
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xFF; 16];
    let length = u16::try_from(19 + body.len()).expect("a message of the corpus is too long");
    octets.extend(length.to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// As FRR begins a session: a parameter for each capability.
fn open() -> Vec<u8> {
    let capabilities: [&[u8]; 8] = [
        &[1, 4, 0, 1, 0, 1],
        &[1, 4, 0, 2, 0, 1],
        &[2, 0],
        &[65, 4, 0, 0, 0xFC, 0x08],
        &[6, 0],
        &[69, 8, 0, 1, 1, 1, 0, 2, 1, 1],
        &[70, 0],
        &[64, 2, 0x80, 120],
    ];
    let parameters: Vec<u8> = capabilities
        .iter()
        .flat_map(|capability| [&[2, capability.len() as u8], *capability].concat())
        .collect();
    let mut body = vec![4, 0xFC, 0x08, 0, 90, 192, 0, 2, 1, parameters.len() as u8];
    body.extend(parameters);
    message(1, &body)
}

fn update(attributes: &[Vec<u8>], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = vec![0, 0];
    body.extend((attributes.len() as u16).to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    message(2, &body)
}

fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut octets = match u8::try_from(value.len()) {
        Ok(length) => vec![flags, code, length],
        Err(_) => {
            let [high, low] = (value.len() as u16).to_be_bytes();
            vec![flags | 0x10, code, high, low]
        }
    };
    octets.extend(value);
    octets
}

fn origin(value: u8) -> Vec<u8> {
    attribute(0x40, 1, &[value])
}

fn as_path(asns: &[u32]) -> Vec<u8> {
    let mut value = vec![2, asns.len() as u8];
    value.extend(asns.iter().flat_map(|asn| asn.to_be_bytes()));
    attribute(0x40, 2, &value)
}

fn next_hop() -> Vec<u8> {
    attribute(0x40, 3, &[192, 0, 2, 1])
}

fn hosts(count: u32) -> Vec<u8> {
    let attributes = [
        origin(0),
        as_path(&[64520, 64521, 64522, 64523]),
        next_hop(),
    ];
    let nlri: Vec<u8> = (0..count)
        .flat_map(|index| {
            let [a, b, c, d] = (0x0A00_0001 + 7 * index).to_be_bytes();
            [32, a, b, c, d]
        })
        .collect();
    update(&attributes, &nlri)
}

fn hosts_v6(count: u128) -> Vec<u8> {
    const PREFIX: u128 = 0x2001_0DB8 << 96;
    let mut reach = vec![0, 2, 1, 16];
    reach.extend((PREFIX | 1).to_be_bytes());
    reach.push(0);
    for index in 0..count {
        reach.push(128);
        reach.extend((PREFIX | (5 << 64) | (1 + 7 * index)).to_be_bytes());
    }
    let path = as_path(&[64520, 64521, 64522, 64523]);
    update(&[origin(0), path, attribute(0x80, 14, &reach)], &[])
}

fn table_mix(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(0x4842_5250);
    (0..count).map(|_| table_update(&mut random)).collect()
}

/// Shares as in a table of the Internet: paths mostly of 4 or 5 ASes, mostly /24s.
fn table_update(random: &mut Random) -> Vec<u8> {
    let mut attributes = vec![origin(if random.percent(90) { 0 } else { 2 })];
    let hops = match random.between(1, 100) {
        1..=4 => 2,
        5..=14 => 3,
        15..=49 => 4,
        50..=79 => 5,
        80..=89 => 6,
        90..=94 => 7,
        95..=97 => 8,
        _ => 9,
    };
    let path: Vec<u32> = (0..hops)
        .map(|_| random.between(1000, 400_000) as u32)
        .collect();
    attributes.push(as_path(&path));
    attributes.push(next_hop());
    if random.percent(30) {
        attributes.push(attribute(
            0x80,
            4,
            &(random.between(0, 1000) as u32).to_be_bytes(),
        ));
    }
    if random.percent(10) {
        let mut value = (random.between(1000, 400_000) as u32)
            .to_be_bytes()
            .to_vec();
        value.extend([198, 51, 100, 1]);
        attributes.push(attribute(0xC0, 7, &value));
    }
    let communities = if random.percent(25) {
        0
    } else {
        random.between(1, 20)
    };
    if communities > 0 {
        let mut values: Vec<u32> = (0..communities)
            .map(|_| (random.between(1000, 65_000) << 16 | random.between(0, 65_000)) as u32)
            .collect();
        values.sort_unstable();
        values.dedup();
        let value: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect();
        attributes.push(attribute(0xC0, 8, &value));
    }
    if random.percent(10) {
        let mut values: Vec<[u32; 3]> = (0..random.between(1, 3))
            .map(|_| {
                [
                    random.between(1000, 400_000) as u32,
                    random.between(0, 9) as u32,
                    7,
                ]
            })
            .collect();
        values.sort_unstable();
        values.dedup();
        let value: Vec<u8> = values
            .iter()
            .flatten()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        attributes.push(attribute(0xC0, 32, &value));
    }
    let mut nlri = Vec::new();
    for _ in 0..random.between(1, 6) {
        let length = if random.percent(60) {
            24
        } else {
            random.between(16, 23)
        } as u8;
        let bits = random.between(0x0100_0000, 0xDF00_0000) as u32 & (u32::MAX << (32 - length));
        nlri.push(length);
        nlri.extend(&bits.to_be_bytes()[..usize::from(length).div_ceil(8)]);
    }
    update(&attributes, &nlri)
}
