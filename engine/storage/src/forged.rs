//! Files whose checksums are right but whose footers lie: opening and reading them must not panic.

use crate::exhaust::exhaust;
use crate::format::{self, Block, Footer, Place, TRAILER_BYTES};
use crate::{BLOCK_ROWS, ColumnSchema, SegmentBuilder};
use columnar::{Batch, Bytes, DataType, Scalar, Vector};
use prost::Message;

const TYPES: [DataType; 7] = [
    DataType::Int64,
    DataType::Int64,
    DataType::Varchar,
    DataType::Varchar,
    DataType::Float64,
    DataType::Boolean,
    DataType::Varchar,
];

fn image() -> Vec<u8> {
    let schema: Vec<ColumnSchema> = TYPES
        .iter()
        .enumerate()
        .map(|(index, &data_type)| ColumnSchema { name: format!("c{index}"), data_type, nullable: true })
        .collect();
    let mut builder = SegmentBuilder::new(schema.into());
    let columns = TYPES.iter().enumerate().map(|(column, &data_type)| {
        let scalar = |row: i128| match column {
            _ if row % 9 == 0 => Scalar::Null,
            0 => Scalar::Integer(row * 3),
            1 => Scalar::Integer(row / 200),
            2 => Scalar::Bytes(format!("é{}", row % 7).into_bytes()),
            3 => Scalar::Bytes(format!("some text about the number {row} ü").repeat(2).into_bytes()),
            4 => Scalar::Float(row as f64),
            5 => Scalar::Boolean(row % 2 == 0),
            _ => Scalar::Bytes(format!("{row}").into_bytes()),
        };
        Vector::from_scalars(data_type, &(0..1_000).map(scalar).collect::<Vec<_>>())
    });
    builder.push(&Batch::new(columns.collect())).unwrap();
    builder.finish().unwrap().as_slice().to_vec()
}

fn footer_of(image: &[u8]) -> (Footer, usize) {
    let footer = format::open(&Bytes::from_vec(image.to_vec())).unwrap();
    let start = image.len() - TRAILER_BYTES - footer.encoded_len();
    (footer, start)
}

/// The buffers of `image` under another footer.
fn forge(image: &[u8], start: usize, footer: &Footer) -> Vec<u8> {
    let mut forged = image[..start].to_vec();
    forged.extend(format::close(footer, start));
    forged
}

#[test]
fn footers_that_lie_do_no_harm() {
    let image = image();
    let (honest, start) = footer_of(&image);
    assert_eq!(exhaust(forge(&image, start, &honest)), 0);
    let numbers = [0, 1, 7, 63, 64, 1_000, 1_001, 65_536, u64::from(u32::MAX), u64::MAX - 63, u64::MAX];
    let mut lies: Vec<Footer> = Vec::new();
    let lie = |change: &dyn Fn(&mut Footer)| {
        let mut footer = honest.clone();
        change(&mut footer);
        footer
    };
    for &number in &numbers {
        lies.push(lie(&|footer| footer.rows = number));
        lies.push(lie(&|footer| footer.sample_rows = number));
    }
    for column in 0..TYPES.len() {
        let blocks: [fn(&mut Footer, usize) -> Option<&mut Block>; 4] = [
            |footer, column| footer.columns[column].blocks.first_mut(),
            |footer, column| footer.columns[column].dictionary.as_mut(),
            |footer, column| footer.columns[column].sample.as_mut(),
            |footer, column| footer.columns[column].blocks.first_mut()?.children.first_mut(),
        ];
        for pick in blocks {
            let mut block = |change: &dyn Fn(&mut Block)| {
                lies.push(lie(&|footer| {
                    if let Some(block) = pick(footer, column) {
                        change(block);
                    }
                }));
            };
            for tag in 0..12 {
                block(&|block| block.encoding = tag);
            }
            for &number in &numbers {
                block(&|block| block.rows = number);
                block(&|block| block.nulls = number);
                for buffer in 0..4 {
                    block(&|block| {
                        if let Some(place) = block.buffers.get_mut(buffer) {
                            place.offset = number;
                        }
                    });
                    block(&|block| {
                        if let Some(place) = block.buffers.get_mut(buffer) {
                            place.len = number;
                        }
                    });
                }
                block(&|block| block.validity = Some(Place { offset: 64, len: number }));
            }
            block(&|block| block.buffers.clear());
            block(&|block| block.parameters.clear());
            block(&|block| block.parameters = vec![8, 1, 16, 1, 24, 2]);
            block(&|block| block.children = vec![block.clone()]);
            block(&|block| block.children.clear());
            block(&|block| block.min = None);
            block(&|block| block.min = format::Scalar::new(&Scalar::Boolean(true)));
        }
        lies.push(lie(&|footer| footer.columns[column].dictionary = None));
        lies.push(lie(&|footer| footer.columns[column].sketch.clear()));
        lies.push(lie(&|footer| footer.columns[column].name = "c0".into()));
        for kind in 0..17 {
            lies.push(lie(&|footer| {
                footer.columns[column].data_type =
                    Some(format::Type { kind, precision: 39, scale: 2, description: vec![30] })
            }));
        }
        lies.push(lie(&|footer| footer.columns[column].data_type = None));
        for other in 0..TYPES.len() {
            lies.push(lie(&|footer| footer.columns[column].blocks = honest.columns[other].blocks.clone()));
            lies.push(lie(&|footer| {
                footer.columns[column].dictionary = honest.columns[other].dictionary.clone()
            }));
        }
    }
    lies.retain(|footer| *footer != honest);
    let harmless = lies.iter().filter(|footer| exhaust(forge(&image, start, footer)) == 0).count();
    assert!(harmless < lies.len() / 4, "{harmless} of {} lies were believed", lies.len());
}

#[test]
fn buffers_that_lie_do_no_harm() {
    let image = image();
    let (honest, start) = footer_of(&image);
    let mut state = 1_u64;
    for round in 0..3_000_usize {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = format::HEADER_BYTES + (state >> 33) as usize % (start - format::HEADER_BYTES);
        let mut changed = image.clone();
        changed[at] = (state >> 24) as u8;
        let mut footer = honest.clone();
        for column in &mut footer.columns {
            let blocks = column.blocks.iter_mut().chain(&mut column.dictionary).chain(&mut column.sample);
            blocks.for_each(|block| renew_checksum(block, &changed));
        }
        exhaust(forge(&changed, start, &footer));
        assert!(round < BLOCK_ROWS);
    }
}

fn renew_checksum(block: &mut Block, image: &[u8]) {
    let mut checksum = crate::checksum::Checksum::new();
    for place in block.validity.iter().chain(&block.buffers) {
        checksum.add(&image[place.offset as usize..(place.offset + place.len) as usize]);
    }
    block.checksum = checksum.value();
    block.children.iter_mut().for_each(|child| renew_checksum(child, image));
}
