//! What a miner does wrong while a fault of its own is on.

use super::find::{Wish, network_target};
use super::{ClientJob, Expect, Miner, MinerIo};
use crate::pow::HeaderHasher;
use crate::sim::faults::FaultKind;
use crate::sim::tally::Message;

/// Requests sent at once by a flood of them: more than any firmware makes.
const REQUESTS: u32 = 250;
/// Bad submits sent at once by a flood.
const FLOOD: u32 = 120;

impl Miner {
    /// Does one wrong thing of this kind. False: there was no occasion.
    pub(in crate::sim) fn do_wrong(&mut self, kind: FaultKind, io: &mut MinerIo<'_>) -> bool {
        self.misbehaved = true;
        self.unsettled_at = io.now;
        match kind {
            FaultKind::GarbageLines => {
                let mut bytes = io.rng.bytes(40);
                bytes.retain(|byte| *byte != b'\n');
                bytes.push(b'\n');
                io.out.extend_from_slice(&bytes);
                io.out.extend_from_slice(b"[1,2,3]\n{\"id\":1}\n{{{{{{{{\n\x00\x00\n");
                true
            }
            FaultKind::LongLine => {
                io.out.extend(std::iter::repeat_n(b'x', 17 * 1024));
                true
            }
            FaultKind::Suggest => {
                let difficulty = io.rng.log_range(2e-10, 1e-8);
                let id = self.next_id;
                self.next_id += 1;
                self.asked.insert(id, super::Asked::Other);
                io.tally.message(Message::SuggestDifficulty);
                let line = format!(
                    "{{\"id\":{id},\"method\":\"mining.suggest_difficulty\",\"params\":[{difficulty:.14}]}}\n"
                );
                io.out.extend_from_slice(line.as_bytes());
                true
            }
            FaultKind::RequestFlood => {
                for _ in 0..REQUESTS {
                    io.out.extend_from_slice(b"{\"id\":999,\"method\":\"mining.ping\",\"params\":[]}\n");
                }
                true
            }
            _ if !self.has_work() => false,
            FaultKind::Flood => {
                for _ in 0..FLOOD {
                    let nonce = io.rng.word();
                    let params = format!(
                        "[\"{}\",\"fffffff\",\"00\",\"{nonce:08x}\",\"{nonce:08x}\"]",
                        self.plan.name
                    );
                    self.send_submit(&params, Expect::NotTrue, io);
                }
                true
            }
            FaultKind::Duplicate | FaultKind::DuplicateCase | FaultKind::DuplicatePadded => {
                self.repeat(kind, io)
            }
            FaultKind::Stale | FaultKind::LateBlock => self.send_late(kind, io),
            FaultKind::OtherExtranonce => self.send_foreign(io),
            FaultKind::EasyShares => self.send_easy(io),
            _ => self.send_bad(kind, io),
        }
    }

    fn repeat(&mut self, kind: FaultKind, io: &mut MinerIo<'_>) -> bool {
        let Some(line) = self.last_line.clone().and_then(|line| String::from_utf8(line).ok()) else {
            return false;
        };
        let mut fields: Vec<String> = line.trim_matches(['[', ']']).split(',').map(str::to_owned).collect();
        let expect = match kind {
            FaultKind::DuplicateCase => {
                fields[2..].iter_mut().for_each(|field| field.make_ascii_uppercase());
                Expect::Code(22)
            }
            FaultKind::DuplicatePadded => {
                let field = 1 + io.rng.index(fields.len() - 1);
                fields[field].insert_str(1, io.rng.pick::<&str>(&["0", "00", "0x", " "]));
                Expect::NotTrue
            }
            _ => Expect::Code(22),
        };
        let params = format!("[{}]", fields.join(","));
        // The line that is repeated may be of a dead job by now, whose shares are stale before they are repeated.
        let expect = if self.jobs.back().is_some_and(|job| line.contains(&format!("\"{}\"", job.job.job_id)))
        {
            expect
        } else {
            Expect::NotTrue
        };
        self.send_submit(&params, expect, io);
        true
    }

    /// A share, or a block, of the last job of the last tip.
    fn send_late(&mut self, kind: FaultKind, io: &mut MinerIo<'_>) -> bool {
        let Some(at) = self.jobs.iter().rposition(|job| job.epoch + 1 == self.epoch) else {
            return false;
        };
        let Some(job) = self.jobs.remove(at) else {
            return false;
        };
        let number = self.next_extranonce2;
        self.next_extranonce2 += 1;
        let target = if kind == FaultKind::LateBlock { network_target() } else { job.target };
        let ntime = job.job.ntime;
        let found = self.search(&job, &self.extranonce1, number, ntime, Wish::Meets(target), io.rng);
        // Of another pool than what the miner has now: that may have been left, and not lost.
        let pool = |job: &ClientJob| job.tag.as_ref().map(|tag| tag.pool);
        let left = self.jobs.back().is_some_and(|newest| pool(newest) != pool(&job));
        if let Some(found) = &found {
            let expect = match found.is_block {
                true => Expect::LateBlock,
                false if self.plan.moves || left => Expect::OldJob,
                false => Expect::Stale,
            };
            self.send_found(&job, found, expect, io);
        }
        self.jobs.insert(at, job);
        found.is_some()
    }

    /// A good share of the easiest job that still counts.
    fn send_easy(&mut self, io: &mut MinerIo<'_>) -> bool {
        let alive = self.jobs.iter().enumerate().filter(|(_, job)| job.epoch == self.epoch);
        let Some((at, _)) = alive.min_by(|a, b| a.1.difficulty.total_cmp(&b.1.difficulty)) else {
            return false;
        };
        let Some(job) = self.jobs.remove(at) else {
            return false;
        };
        let number = self.next_extranonce2;
        self.next_extranonce2 += 1;
        let ntime = job.job.ntime;
        let found = self.search(&job, &self.extranonce1, number, ntime, Wish::Meets(job.target), io.rng);
        if let Some(found) = &found {
            self.send_found(&job, found, Expect::Good, io);
        }
        self.jobs.insert(at, job);
        found.is_some()
    }

    /// A share that another miner found: good for its extranonce1, not for ours.
    fn send_foreign(&mut self, io: &mut MinerIo<'_>) -> bool {
        let Some(job) = self.jobs.pop_back() else {
            return false;
        };
        let mut other = self.extranonce1.clone();
        if let Some(last) = other.last_mut() {
            *last ^= 1;
        }
        let (ntime, number) = (job.job.ntime, io.rng.next());
        let mut sent = false;
        for _ in 0..4 {
            let Some(found) = self.search(&job, &other, number, ntime, Wish::Meets(job.target), io.rng)
            else {
                break;
            };
            let mut header = job.job.header(&self.extranonce1, &found.extranonce2);
            let mask = self.mask.unwrap_or(crate::sim::pool::job::VERSION_MASK);
            header.version =
                found.version_bits.map_or(header.version, |bits| (header.version & !mask) | bits);
            if HeaderHasher::new(&header).hash(found.nonce).meets(&job.target) {
                continue; // by chance it is good for us as well
            }
            let params = self.submit_params(&job.job.job_id, &found);
            self.send_submit(&params, Expect::Code(23), io);
            sent = true;
            break;
        }
        self.jobs.push_back(job);
        sent
    }

    fn send_bad(&mut self, kind: FaultKind, io: &mut MinerIo<'_>) -> bool {
        let Some(job) = self.jobs.pop_back() else {
            return false;
        };
        let number = self.next_extranonce2;
        self.next_extranonce2 += 1;
        let ntime = match kind {
            FaultKind::NtimeEarly => job.job.ntime - 100_000,
            FaultKind::NtimeLate => job.job.ntime + 100_000,
            _ => job.job.ntime,
        };
        let wish = match kind {
            FaultKind::LowDifficulty => Wish::Misses(job.target),
            _ => Wish::Meets(job.target),
        };
        let is_everything = job.target == crate::pow::Target::MAX;
        let found = match kind {
            FaultKind::LowDifficulty if is_everything => None,
            _ => self.search(&job, &self.extranonce1, number, ntime, wish, io.rng),
        };
        let job_id = job.job.job_id.clone();
        self.jobs.push_back(job);
        let Some(mut found) = found else { return false };
        if found.is_block {
            return false;
        }
        let (params, expect) = match kind {
            FaultKind::UnknownJob => (self.submit_params("7ffffff0", &found), Expect::Code(21)),
            FaultKind::WrongSize => {
                if io.rng.chance(0.5) {
                    found.extranonce2.push(0);
                } else {
                    found.extranonce2.pop();
                }
                (self.submit_params(&job_id, &found), Expect::Code(20))
            }
            FaultKind::VersionBits => {
                let allowed = self.mask.unwrap_or(crate::sim::pool::job::VERSION_MASK);
                found.version_bits =
                    Some(found.version_bits.unwrap_or(0) | (1 << (!allowed).trailing_zeros()));
                if self.is_block(&found) {
                    // Whatever its version: that goes up.
                    return false;
                }
                (self.submit_params(&job_id, &found), Expect::Code(20))
            }
            FaultKind::NtimeEarly | FaultKind::NtimeLate => {
                (self.submit_params(&job_id, &found), Expect::Code(20))
            }
            FaultKind::LowDifficulty => (self.submit_params(&job_id, &found), Expect::Code(23)),
            FaultKind::OtherWorker => {
                let params =
                    self.submit_params(&job_id, &found).replacen(&self.plan.name, "somebody.else", 1);
                (params, Expect::Code(24))
            }
            _ => {
                let params = *io.rng.pick(&[
                    "[\"farm\"]",
                    "[\"farm\",\"1\",\"zz\",\"00000000\",\"00000000\"]",
                    "[1,2,3,4,5]",
                    "{\"a\":1}",
                    "[\"farm\",\"1\",\"00\",\"123456789\",\"00000000\"]",
                ]);
                (params.to_owned(), Expect::NotTrue)
            }
        };
        self.send_submit(&params, expect, io);
        true
    }
}
