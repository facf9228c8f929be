//! Who gets an operation: the instance is chosen when it is due, then it waits for a connection *to that instance*.
//!
//! In: due operations ([`Job`]s), connections that became free or closed, the routing table. Out: what to do with
//! each: hand it to an idle connection, open one, or let it wait. No I/O and no clock here.
//!
//! # Why
//! Sending to whoever is idle would favour the fast instance and hide the slow one; a load balancer deals in turn.
//! The connection that was used last is used first: those that a short burst opened grow old and are the first that
//! the target closes, unneeded.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::lanes::Operation;
use super::mailbox::Mailbox;
use crate::backends::{Endpoint, Endpoints, InstanceId};
use crate::clock::Offset;

/// An operation that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    pub op: Operation,
    pub due: Offset,
}

/// What is to be done with a job.
#[derive(Debug)]
pub enum Placement {
    /// An idle connection takes it.
    Hand(Rc<Mailbox>, Job),
    /// A new connection takes it.
    Open(Endpoint, Job),
    /// It waits: for a connection, or for an instance.
    Waits,
}

/// What a connection does after an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Take(Job),
    /// Its mailbox is on the idle list.
    Idle,
    /// Its instance is out of rotation.
    Close,
}

/// Jobs in due order.
#[derive(Debug, Default)]
struct Queue(VecDeque<Job>);

impl Queue {
    /// A job that came back from another instance goes before those that became due after it.
    fn push(&mut self, job: Job) {
        let at = self.0.partition_point(|queued| queued.op.index < job.op.index);
        self.0.insert(at, job);
    }
}

/// One instance as this shard knows it.
#[derive(Debug)]
struct Seat {
    endpoint: Endpoint,
    in_rotation: bool,
    /// Opening, busy and idle ones.
    connections: u32,
    /// Idle connections; the one that was used last is at the end.
    idle: Vec<Rc<Mailbox>>,
    /// Jobs wait only while every connection is busy.
    queue: Queue,
}

#[derive(Debug)]
pub struct Rotation {
    table: Endpoints,
    version: Option<u64>,
    members: Arc<[Endpoint]>,
    turn: usize,
    seats: BTreeMap<InstanceId, Seat>,
    /// Jobs that became due, or were moved, while no instance was in rotation.
    homeless: Queue,
    connections_max: u32,
}

impl Rotation {
    /// `turn` says with which instance the round begins, so that shards do not all begin with the same one.
    pub fn new(table: Endpoints, connections_max: u32, turn: usize) -> Self {
        let members = Arc::from([]);
        let (seats, homeless) = (BTreeMap::new(), Queue::default());
        Rotation { table, version: None, members, turn, seats, homeless, connections_max }
    }

    /// Gives a job to the instance whose turn it is.
    pub fn place(&mut self, job: Job) -> Placement {
        if self.members.is_empty() {
            self.homeless.push(job);
            return Placement::Waits;
        }
        let id = self.members[self.turn % self.members.len()].id;
        self.turn = self.turn.wrapping_add(1);
        self.assign(id, job)
    }

    /// Gives a job back to its instance, whose connection ended before anything was written; or to another one, if
    /// that instance is out of rotation.
    pub fn replace(&mut self, id: InstanceId, job: Job) -> Placement {
        if self.has(id) { self.assign(id, job) } else { self.place(job) }
    }

    fn assign(&mut self, id: InstanceId, job: Job) -> Placement {
        let seat = self.seats.get_mut(&id).expect("every member of the rotation has a seat");
        if let Some(mailbox) = seat.idle.pop() {
            return Placement::Hand(mailbox, job);
        }
        if seat.connections < self.connections_max {
            seat.connections += 1;
            return Placement::Open(seat.endpoint.clone(), job);
        }
        seat.queue.push(job);
        Placement::Waits
    }

    /// Whether an instance was in rotation at the last look.
    pub fn has(&self, id: InstanceId) -> bool {
        self.seats.get(&id).is_some_and(|seat| seat.in_rotation)
    }

    /// A connection has had its answer.
    pub fn freed(&mut self, id: InstanceId, mailbox: &Rc<Mailbox>) -> Next {
        let seat = self.seat(id);
        if !seat.in_rotation {
            return Next::Close;
        }
        match seat.queue.0.pop_front() {
            Some(job) => Next::Take(job),
            None => {
                seat.idle.push(mailbox.clone());
                Next::Idle
            }
        }
    }

    /// An idle connection found itself ended.
    pub fn withdraw(&mut self, id: InstanceId, mailbox: &Rc<Mailbox>) {
        self.seat(id).idle.retain(|idle| !Rc::ptr_eq(idle, mailbox));
    }

    /// A connection is closed; if a job waited for it, a new one is to be opened.
    pub fn closed(&mut self, id: InstanceId) -> Placement {
        let seat = self.seat(id);
        seat.connections -= 1;
        match seat.queue.0.pop_front() {
            Some(job) => self.assign(id, job),
            None => Placement::Waits,
        }
    }

    /// Looks at the routing table. The jobs in the answer have lost their instance, or have found that there is one
    /// again: each is to be placed, in this order.
    pub fn refresh(&mut self) -> Vec<Job> {
        // The version first: a change after it shows at the next look.
        let version = self.table.version();
        if self.version.replace(version) == Some(version) {
            return Vec::new();
        }
        self.members = self.table.in_rotation();
        self.seats.retain(|_, seat| seat.in_rotation || seat.connections > 0);
        let mut homeless = Queue::default();
        for (id, seat) in &mut self.seats {
            seat.in_rotation = self.members.iter().any(|member| member.id == *id);
            if !seat.in_rotation {
                seat.idle.drain(..).for_each(|mailbox| mailbox.close());
                seat.queue.0.drain(..).for_each(|job| homeless.push(job));
            }
        }
        for member in self.members.iter() {
            self.seats.entry(member.id).or_insert_with(|| Seat::new(member.clone()));
        }
        self.homeless.0.drain(..).for_each(|job| homeless.push(job));
        homeless.0.into()
    }

    /// The next job that found no instance before `give_up_due`, which is now less its time-out.
    pub fn expired(&mut self, give_up_due: Offset) -> Option<Job> {
        self.homeless.0.pop_front_if(|job| job.due <= give_up_due)
    }

    fn seat(&mut self, id: InstanceId) -> &mut Seat {
        self.seats.get_mut(&id).expect("a seat stays while it has connections")
    }
}

impl Seat {
    fn new(endpoint: Endpoint) -> Self {
        Seat { endpoint, in_rotation: true, connections: 0, idle: Vec::new(), queue: Queue::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::lanes::Lane;

    const A: InstanceId = InstanceId(1);
    const B: InstanceId = InstanceId(2);

    fn job(index: u64) -> Job {
        Job { op: Operation { index, lane: Lane::WriteOnce, key: index, seq: 1 }, due: Offset(index) }
    }

    fn table(ids: &[InstanceId]) -> Endpoints {
        let table = Endpoints::default();
        for id in ids {
            table.add(Endpoint { id: *id, addr: "127.0.0.1:1".parse().unwrap() });
            table.probed(*id, true, Offset(1), Offset(2));
        }
        table
    }

    fn rotation(table: &Endpoints) -> Rotation {
        let mut rotation = Rotation::new(table.clone(), 1, 0);
        assert!(rotation.refresh().is_empty());
        rotation
    }

    fn opened(placement: Placement) -> InstanceId {
        match placement {
            Placement::Open(endpoint, _) => endpoint.id,
            other => panic!("{other:?} opens no connection"),
        }
    }

    fn waits(placement: Placement) {
        assert!(matches!(placement, Placement::Waits), "{placement:?}");
    }

    #[test]
    fn instances_get_operations_in_turn_however_busy_they_are() {
        let mut rotation = rotation(&table(&[A, B]));
        assert_eq!(opened(rotation.place(job(0))), A);
        assert_eq!(opened(rotation.place(job(1))), B);
        waits(rotation.place(job(2)));
        waits(rotation.place(job(3)));
        assert_eq!(rotation.freed(B, &Rc::default()), Next::Take(job(3)));
        assert_eq!(rotation.freed(A, &Rc::default()), Next::Take(job(2)));
    }

    #[test]
    fn the_connection_that_was_used_last_is_used_first() {
        let mut rotation = Rotation::new(table(&[A]), 2, 0);
        rotation.refresh();
        let (first, second) = (Rc::<Mailbox>::default(), Rc::<Mailbox>::default());
        (0..2).for_each(|n| _ = opened(rotation.place(job(n))));
        assert_eq!((rotation.freed(A, &first), rotation.freed(A, &second)), (Next::Idle, Next::Idle));
        assert!(matches!(rotation.place(job(2)), Placement::Hand(mailbox, _) if Rc::ptr_eq(&mailbox, &second)));
    }

    #[test]
    fn an_ejected_instance_loses_its_queue_to_the_others_in_due_order() {
        let table = table(&[A, B]);
        let mut rotation = rotation(&table);
        (0..2).for_each(|n| _ = opened(rotation.place(job(n))));
        (2..8).for_each(|n| waits(rotation.place(job(n))));
        table.eject(A, Offset(9), "reset");
        let moved = rotation.refresh();
        assert_eq!(moved, [job(2), job(4), job(6)]);
        moved.into_iter().for_each(|job| waits(rotation.place(job)));
        for expected in 2..8 {
            assert_eq!(rotation.freed(B, &Rc::default()), Next::Take(job(expected)));
        }
        assert_eq!(rotation.freed(A, &Rc::default()), Next::Close);
    }

    #[test]
    fn idle_connections_of_an_ejected_instance_are_told_to_close() {
        let table = table(&[A, B]);
        let mut rotation = rotation(&table);
        let mailbox = Rc::<Mailbox>::default();
        opened(rotation.place(job(0)));
        rotation.freed(A, &mailbox);
        table.eject(A, Offset(9), "probe");
        rotation.refresh();
        assert!(mailbox.is_closed());
    }

    #[test]
    fn a_job_without_an_instance_waits_for_one_until_its_time_is_over() {
        let table = table(&[A]);
        table.eject(A, Offset(3), "refused");
        let mut rotation = rotation(&table);
        waits(rotation.place(job(10)));
        waits(rotation.place(job(20)));
        assert_eq!((rotation.expired(Offset(9)), rotation.expired(Offset(10))), (None, Some(job(10))));
        table.probed(A, true, Offset(4), Offset(5));
        assert_eq!(rotation.refresh(), [job(20)]);
        assert_eq!(opened(rotation.place(job(20))), A);
        assert_eq!(rotation.expired(Offset(99)), None);
    }

    #[test]
    fn a_closed_connection_makes_room_for_a_waiting_job() {
        let mut rotation = rotation(&table(&[A]));
        opened(rotation.place(job(0)));
        waits(rotation.place(job(1)));
        assert_eq!(opened(rotation.closed(A)), A);
        waits(rotation.closed(A));
        assert_eq!(opened(rotation.replace(A, job(2))), A);
    }

    #[test]
    fn a_job_whose_connection_ended_unused_leaves_an_ejected_instance() {
        let table = table(&[A, B]);
        let mut rotation = rotation(&table);
        opened(rotation.place(job(0)));
        table.eject(A, Offset(9), "eof");
        rotation.refresh();
        waits(rotation.closed(A));
        assert_eq!(opened(rotation.replace(A, job(0))), B);
    }
}
