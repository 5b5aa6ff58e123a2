//! The bytes of a segment, as `store/FORMAT.md` draws them: header page, frame header, trailer.
//! Bytes are forever; what is written here is read by every later version.
//!
//! ```text
//! segment:  [ header page 4096 ][ frame ][ frame ] … [ seal ][ zeros … ][ slot 0 ][ slot 1 ]
//! frame:    [ header 48 ][ body ][ checksum 4 ][ end mark 4 ][ zeros up to the alignment ]
//! ```

use uuid::Uuid;

/// First bytes of every segment.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"HOLDFAST";
/// The version that this code writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 2;
/// The first version: it has no slots, and its frame checksums do not depend on the frame's header.
pub(crate) const WITHOUT_SLOTS: u32 = 1;
/// Length of the header page; the first frame stands behind it.
pub(crate) const HEADER_LEN: usize = 4096;
/// Where the header page's checksum stands, in this and every later version.
const HEADER_CHECKSUM_AT: usize = HEADER_LEN - 4;

/// First bytes of every frame.
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"HFfr";
/// Last bytes of every frame, none of them zero: zeros there mean that the end was never written.
pub(crate) const END_MARK: [u8; 4] = *b"rfFH";
/// Length of a frame's header.
pub(crate) const FRAME_HEADER_LEN: usize = 48;
/// Checksum and end mark.
pub(crate) const TRAILER_LEN: usize = 8;
/// Every frame starts at a multiple of this; the header page says so, and readers believe the page.
pub(crate) const FRAME_ALIGN: u32 = 8;
/// What a seal says behind its header: frames (8) and events (8) of the segment.
pub(crate) const SEAL_BODY_LEN: usize = 16;
/// A whole seal; so much of every segment is kept free for it.
pub(crate) const SEAL_LEN: usize = FRAME_HEADER_LEN + SEAL_BODY_LEN + TRAILER_LEN;
/// The longest slot: a group commit of 1 MiB and the slot's header.
const MOST_SLOT_BYTES: u64 = (1 << 20) + 4096;
/// The unit in which disks lose what was not synced.
pub(crate) const SECTOR: u64 = 512;

const _: () = assert!(SEAL_LEN == 72);
const _: () = assert!((HEADER_LEN as u64).is_multiple_of(SECTOR));

/// What all checksums of a segment go on from, and how those of its frames are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    /// Checksum of the segment's header page.
    pub(crate) crc: u32,
    /// The segment's format version.
    version: u32,
}

impl Seed {
    /// As segments of today's version have it.
    pub(crate) fn new(crc: u32) -> Self {
        Self { crc, version: FORMAT_VERSION }
    }
}

/// What stands in a segment's header page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) store_id: Uuid,
    /// From 1, as the file's name.
    pub(crate) number: u64,
    /// Position of the first event that goes here.
    pub(crate) first_position: u64,
    /// Checksum of the last frame (the seal) of the segment before; 0 in the first.
    pub(crate) previous_hash: u32,
    pub(crate) frame_align: u32,
    /// Length of the file.
    pub(crate) segment_bytes: u64,
    /// Random: nobody who chooses payloads can know what a frame of this segment looks like.
    pub(crate) salt: u64,
    pub(crate) created_at_micros: i64,
    /// How long each of the two slots at the file's end is; 0 where there are none.
    pub(crate) slot_len: u32,
    /// Checksum of this page: the first frame's previous hash, and the seed of all checksums here.
    pub(crate) hash: u32,
}

/// Why a header page is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// All zeros: prepared, not begun.
    Blank,
    /// Some bytes, but no whole header.
    Broken(&'static str),
    /// Whole, but written by a newer version.
    Newer(u32),
}

impl SegmentHeader {
    /// Sets `hash` to what the page comes to, and gives the page.
    pub(crate) fn encode(&mut self) -> Vec<u8> {
        let mut page = vec![0; HEADER_LEN];
        page[0..8].copy_from_slice(&SEGMENT_MAGIC);
        put(&mut page, 8, &self.version.to_le_bytes());
        put(&mut page, 12, &(HEADER_LEN as u32).to_le_bytes());
        put(&mut page, 16, self.store_id.as_bytes());
        put(&mut page, 32, &self.number.to_le_bytes());
        put(&mut page, 40, &self.first_position.to_le_bytes());
        put(&mut page, 48, &self.previous_hash.to_le_bytes());
        put(&mut page, 52, &self.frame_align.to_le_bytes());
        put(&mut page, 56, &self.segment_bytes.to_le_bytes());
        put(&mut page, 64, &self.salt.to_le_bytes());
        put(&mut page, 72, &self.created_at_micros.to_le_bytes());
        put(&mut page, 80, &self.slot_len.to_le_bytes());
        self.hash = crc32c::crc32c(&page[..HEADER_CHECKSUM_AT]);
        put(&mut page, HEADER_CHECKSUM_AT, &self.hash.to_le_bytes());
        page
    }

    pub(crate) fn decode(page: &[u8]) -> Result<Self, BadHeader> {
        if page.iter().all(|b| *b == 0) {
            return Err(BadHeader::Blank);
        }
        if page.len() < HEADER_LEN {
            return Err(BadHeader::Broken("the file ends within its header"));
        }
        if page[0..8] != SEGMENT_MAGIC {
            return Err(BadHeader::Broken("it does not begin with HOLDFAST"));
        }
        let hash = u32_at(page, HEADER_CHECKSUM_AT);
        if crc32c::crc32c(&page[..HEADER_CHECKSUM_AT]) != hash {
            return Err(BadHeader::Broken("the header's checksum does not match"));
        }
        let version = u32_at(page, 8);
        if version > FORMAT_VERSION {
            return Err(BadHeader::Newer(version));
        }
        let header = Self {
            version,
            store_id: Uuid::from_bytes(bytes_at(page, 16)),
            number: u64_at(page, 32),
            first_position: u64_at(page, 40),
            previous_hash: u32_at(page, 48),
            frame_align: u32_at(page, 52),
            segment_bytes: u64_at(page, 56),
            salt: u64_at(page, 64),
            created_at_micros: i64::from_le_bytes(bytes_at(page, 72)),
            slot_len: u32_at(page, 80),
            hash,
        };
        let slots = match version {
            WITHOUT_SLOTS => header.slot_len == 0,
            _ => {
                u64::from(header.slot_len).is_multiple_of(SECTOR)
                    && header.slot_len > 0
                    && header.frames_end() > HEADER_LEN as u64
            }
        };
        let sound = version > 0
            && slots
            && u32_at(page, 12) as usize == HEADER_LEN
            && header.frame_align.is_power_of_two()
            && (8..=65536).contains(&header.frame_align)
            && header.number > 0
            && header.first_position > 0;
        if sound { Ok(header) } else { Err(BadHeader::Broken("the header makes no sense")) }
    }

    /// Where the frames end at the latest: at the first slot, or at the end of the file.
    pub(crate) fn frames_end(&self) -> u64 {
        frames_end(self.segment_bytes, self.slot_len)
    }

    /// What the checksums of this segment go on from.
    pub(crate) fn seed(&self) -> Seed {
        Seed { crc: self.hash, version: self.version }
    }

    /// Where the next frame may start, from `offset` on.
    pub(crate) fn align(&self, offset: u64) -> u64 {
        offset.next_multiple_of(u64::from(self.frame_align))
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A group commit.
    Commit,
    /// The last frame of a segment that is full.
    Seal,
}

/// The 48 bytes that a frame begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    /// From the magic to the end mark.
    pub(crate) len: u32,
    /// Checksum of the frame before, or of the header page.
    pub(crate) previous_hash: u32,
    /// Position of the first event in it; of a seal: of the first event in the next segment.
    pub(crate) first_position: u64,
    pub(crate) recorded_at_micros: i64,
    pub(crate) appends: u32,
    pub(crate) events: u32,
}

const FRAME_CHECKSUM_AT: usize = FRAME_HEADER_LEN - 4;

impl FrameHeader {
    /// Writes the header, with its own checksum, over the first 48 bytes of `frame`.
    pub(crate) fn encode(&self, seed: Seed, frame: &mut [u8]) {
        let kind = match self.kind {
            FrameKind::Commit => 1,
            FrameKind::Seal => 2,
        };
        put(frame, 0, &FRAME_MAGIC);
        put(frame, 4, &[kind, 0]);
        put(frame, 6, &(FRAME_HEADER_LEN as u16).to_le_bytes());
        put(frame, 8, &self.len.to_le_bytes());
        put(frame, 12, &self.previous_hash.to_le_bytes());
        put(frame, 16, &self.first_position.to_le_bytes());
        put(frame, 24, &self.recorded_at_micros.to_le_bytes());
        put(frame, 32, &self.appends.to_le_bytes());
        put(frame, 36, &self.events.to_le_bytes());
        put(frame, 40, &[0; 4]);
        let checksum = crc32c::crc32c_append(seed.crc, &frame[..FRAME_CHECKSUM_AT]);
        put(frame, FRAME_CHECKSUM_AT, &checksum.to_le_bytes());
    }

    /// Reads a header whose checksum matches; nothing in it was used before.
    pub(crate) fn decode(seed: Seed, bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < FRAME_HEADER_LEN || bytes[0..4] != FRAME_MAGIC {
            return Err("no frame begins here");
        }
        let checksum = crc32c::crc32c_append(seed.crc, &bytes[..FRAME_CHECKSUM_AT]);
        if checksum != u32_at(bytes, FRAME_CHECKSUM_AT) {
            return Err("the checksum of the frame's header does not match");
        }
        let kind = match bytes[4] {
            1 => FrameKind::Commit,
            2 => FrameKind::Seal,
            _ => return Err("the frame is of a kind that this version does not know"),
        };
        let header = Self {
            kind,
            len: u32_at(bytes, 8),
            previous_hash: u32_at(bytes, 12),
            first_position: u64_at(bytes, 16),
            recorded_at_micros: i64::from_le_bytes(bytes_at(bytes, 24)),
            appends: u32_at(bytes, 32),
            events: u32_at(bytes, 36),
        };
        let plain = bytes[5] == 0
            && u16::from_le_bytes(bytes_at(bytes, 6)) as usize == FRAME_HEADER_LEN
            && u32_at(bytes, 40) == 0
            && header.len as usize >= FRAME_HEADER_LEN + TRAILER_LEN;
        if plain { Ok(header) } else { Err("the frame's header makes no sense") }
    }
}

/// The checksum of a frame, over all of it but the trailer: its header's checksum, gone on with the
/// body. In the first version it goes over the header and the header's checksum too, and since a CRC
/// of something and its own CRC is always the same, it depends on the body alone.
pub(crate) fn frame_hash(seed: Seed, frame_without_trailer: &[u8]) -> u32 {
    if seed.version == WITHOUT_SLOTS {
        return crc32c::crc32c_append(seed.crc, frame_without_trailer);
    }
    let (header, body) = frame_without_trailer.split_at(FRAME_HEADER_LEN);
    crc32c::crc32c_append(u32_at(header, FRAME_CHECKSUM_AT), body)
}

/// Where the frames of a segment end at the latest that has two slots of this length.
pub(crate) fn frames_end(segment_bytes: u64, slot_len: u32) -> u64 {
    segment_bytes.saturating_sub(2 * u64::from(slot_len))
}

/// How long the slots of a segment of so many bytes are: a whole group commit goes into one, but the
/// slots of a small segment do not take more than a quarter of it.
pub(crate) fn slot_len(segment_bytes: u64) -> u32 {
    let share = (segment_bytes / 8).next_multiple_of(SECTOR);
    share.min(MOST_SLOT_BYTES) as u32
}

/// Checks the trailer of a whole frame (without padding) and gives its checksum.
pub(crate) fn check_trailer(seed: Seed, frame: &[u8]) -> Result<u32, &'static str> {
    let (content, trailer) = frame.split_at(frame.len() - TRAILER_LEN);
    let hash = u32_at(trailer, 0);
    // The frame's checksum goes on from the header's, so that one has to be right as well.
    let header = crc32c::crc32c_append(seed.crc, &content[..FRAME_CHECKSUM_AT]);
    if header != u32_at(content, FRAME_CHECKSUM_AT) {
        return Err("the checksum of the frame's header does not match");
    }
    if frame_hash(seed, content) != hash {
        return Err("the frame's checksum does not match");
    }
    if trailer[4..] != END_MARK {
        return Err("the frame's end mark is missing");
    }
    Ok(hash)
}

/// Appends checksum and end mark to a frame; gives the checksum.
pub(crate) fn finish(seed: Seed, frame: &mut Vec<u8>) -> u32 {
    let hash = frame_hash(seed, frame);
    frame.extend_from_slice(&hash.to_le_bytes());
    frame.extend_from_slice(&END_MARK);
    hash
}

/// The last frame of a segment: says that it is full and what it holds.
pub(crate) fn seal(
    seed: Seed,
    previous_hash: u32,
    next_position: u64,
    recorded_at_micros: i64,
    frames: u64,
    events: u64,
) -> (Vec<u8>, u32) {
    let mut frame = vec![0; FRAME_HEADER_LEN];
    let header = FrameHeader {
        kind: FrameKind::Seal,
        len: SEAL_LEN as u32,
        previous_hash,
        first_position: next_position,
        recorded_at_micros,
        appends: 0,
        events: 0,
    };
    header.encode(seed, &mut frame);
    frame.extend_from_slice(&frames.to_le_bytes());
    frame.extend_from_slice(&events.to_le_bytes());
    let hash = finish(seed, &mut frame);
    (frame, hash)
}

/// The file name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:010}.seg")
}

/// The number in a segment's file name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

pub(crate) fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}

pub(crate) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes is N bytes long")
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}
