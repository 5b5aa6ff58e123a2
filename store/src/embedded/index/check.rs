//! Comparing an index with its segment, while that is walked anyway: the same segment always gives the
//! same bytes, so whatever differs is wrong, also where every checksum is right.

use std::io;
use std::sync::Arc;

use super::super::disk::{Access, Disk, DiskFile, read_up_to};
use super::super::format::u32_at;
use super::super::frame::Frame;
use super::super::scan::{Damage, SealedEnd, Segment};
use super::build::Collected;
use super::{Facts, PAGE_BODY_LEN, PAGE_LEN, index_name, page_hash};

/// How much is compared at once.
const CHUNK_BYTES: usize = 64 * PAGE_LEN;

/// An index that is compared with its segment.
pub(crate) struct Check {
    file: io::Result<Arc<dyn DiskFile>>,
    collected: Collected,
}

impl Check {
    /// Begins with the segment's first frame; `None` when it has no index, or can have none.
    pub(crate) fn begin(disk: &dyn Disk, segment: &Segment) -> Option<Self> {
        u32::try_from(segment.header.segment_bytes).ok()?;
        let file = match disk.open(&index_name(segment.header.number), Access::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            opened => opened,
        };
        Some(Self { file, collected: Collected::default() })
    }

    /// Notes a frame.
    pub(crate) fn add(
        &mut self,
        segment: &Segment,
        offset: u64,
        frame: &Frame,
    ) -> Result<(), Damage> {
        self.collected.add(segment, offset, frame)
    }

    /// At the segment's seal: what is wrong with the index, if something is.
    pub(crate) fn end(self, segment: &Segment, end: SealedEnd) -> Option<String> {
        let built = self.collected.finish(segment, end);
        let compared = self.file.and_then(|file| compare(&*file, &built.bytes));
        compared.unwrap_or_else(|error| Some(format!("it cannot be read: {error}")))
    }
}

fn compare(file: &dyn DiskFile, right: &[u8]) -> io::Result<Option<String>> {
    let page = read_up_to(file, 0, PAGE_LEN)?;
    let Some(facts) = Facts::decode(&page, true) else {
        return Ok(Some("its header is damaged, or of another version".to_owned()));
    };
    if page != right[..PAGE_LEN] {
        return Ok(Some("it is of another segment, or tells it wrongly".to_owned()));
    }
    let len = file.len_bytes()?;
    if len != right.len() as u64 {
        return Ok(Some(format!("it has {len} bytes, it should have {}", right.len())));
    }
    for (at, right) in (0..).step_by(CHUNK_BYTES).zip(right.chunks(CHUNK_BYTES)) {
        let found = read_up_to(file, at as u64, right.len())?;
        if found.len() < right.len() {
            return Ok(Some("its file is too short".to_owned()));
        }
        let pages = found.chunks(PAGE_LEN).zip(right.chunks(PAGE_LEN));
        if let Some((number, (page, _))) =
            ((at / PAGE_LEN) as u32..).zip(pages).find(|(_, (page, right))| page != right)
        {
            let hash = page_hash(facts.hash, number, &page[..PAGE_BODY_LEN]);
            return Ok(Some(if hash == u32_at(page, PAGE_BODY_LEN) {
                format!("its page {number} is not what the segment says")
            } else {
                format!("the checksum of its page {number} is wrong")
            }));
        }
    }
    Ok(None)
}
