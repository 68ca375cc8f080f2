//! The calls, each a function of `act/act.h` with its arguments.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use crate::choose::{Argument, Choose, Dice};
use crate::record::Records;
use crate::values::*;

/// How often a call is chosen: while files are made, and later.
struct Weight {
    name: &'static str,
    first: u32,
    later: u32,
}

macro_rules! calls {
    ($(
        $name:ident = $function:ident($($field:ident: $type:ty),*),
        $first:literal $later:literal;
    )*) => {
        /// One call, as it stands in a program.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Call {
            $($name { $($field: $type),* }),*
        }

        const WEIGHTS: &[Weight] = &[
            $(Weight { name: stringify!($name), first: $first, later: $later }),*
        ];

        impl Call {
            /// Chooses the arguments of a call.
            fn of(name: &str, dice: &mut Dice) -> Call {
                match name {
                    $(stringify!($name) => Call::$name { $($field: <$type>::choose(dice)),* },)*
                    _ => unreachable!("the names are those of the table"),
                }
            }

            pub fn name(&self) -> &'static str {
                match self {
                    $(Call::$name { .. } => stringify!($name)),*
                }
            }

            /// Changes some of the arguments, at least one if there is any.
            pub fn vary(&mut self, dice: &mut Dice) {
                match self {
                    $(Call::$name { $($field),* } => {
                        let all: &[&str] = &[$(stringify!($field)),*];
                        let _chosen = all.choose(dice).copied();
                        $(if _chosen == Some(stringify!($field)) || dice.random_ratio(1, 8) {
                            *$field = <$type>::choose(dice);
                        })*
                    })*
                }
            }

            /// The call in C.
            pub fn c(&self) -> String {
                match self {
                    $(Call::$name { $($field),* } => {
                        let arguments: &[String] = &[$($field.literal()),*];
                        format!("{}({})", stringify!($function), arguments.join(", "))
                    })*
                }
            }

            /// Does it, in this process: one that may come to harm.
            #[cfg(feature = "act")]
            pub fn act(&self) {
                match self {
                    // SAFETY: The types are those of C. What it does to the memory of the process
                    // is undone by the end of that.
                    $(Call::$name { $($field),* } => unsafe {
                        c::$function($($field.pass()),*)
                    },)*
                }
            }
        }

        #[cfg(feature = "act")]
        mod c {
            use super::*;

            unsafe extern "C" {
                $(pub fn $function($($field: <$type as Argument>::C),*);)*
            }
        }
    };
}

calls! {
    NewQueue = new_queue(to: Queue, slots: Slots, flags: InitFlags), 40 1;
    NewQueueAt = new_queue_at(to: Queue, room: Room, slots: Slots, flags: InitFlags), 6 1;
    OpenDevice = open_device(to: Any, flags: OpenFlags), 4 1;
    MapRing = map_ring(queue: Queue, slots: Slots, owner: Owner), 2 2;
    MapAny = map_any(queue: Queue, pages: Pages, offset: Page, protection: Protection,
        flags: MapFlags), 1 1;
    Unmap = unmap(queue: Queue, page: Page), 0 2;
    MoveRing = move_ring(queue: Queue, pages: Pages), 0 1;
    Protect = protect(queue: Queue, protection: Protection), 0 1;
    Advise = advise(queue: Queue, advice: Advice), 0 1;
    Control = control(queue: Queue, command: Command, records: Records, claimed: Claimed,
        at: Place), 30 60;
    Get = get(queue: Queue, min: Least, max: Most, timeout: When, flags: WaitFlags, at: Place),
        1 14;
    GetExtended = get_extended(queue: Queue, min: Least, max: Most, extended: Extended,
        flags: WaitFlags), 1 4;
    Wait = wait_for(queue: Queue, num: Count, old: Position, timeout: When, flags: WaitFlags), 1 10;
    WaitExtended = wait_extended(queue: Queue, num: Count, old: Position, extended: Extended,
        flags: WaitFlags), 1 4;
    CallBy32 = call_by_32(queue: Queue, what: What, num: Count, extended: Extended,
        flags: WaitFlags), 0 3;
    Commit = commit(queue: Queue, to: Position), 1 10;
    Take = take(queue: Queue, owner: Owner, nr: Count), 1 10;
    Finish = finish(queue: Queue, owner: Owner), 1 8;
    Recover = recover(queue: Queue, owner: Owner), 0 2;
    Inherit = inherit(queue: Queue, owner: Owner), 0 2;
    Scribble = scribble(queue: Queue, word: Word, value: Scribble, store: Store), 0 6;
    NewPipe = new_pipe(a: File, b: File, flags: PipeFlags), 8 2;
    NewEventfd = new_eventfd(to: File, count: Initial, flags: EventfdFlags), 8 2;
    NewSocketpair = new_socketpair(a: File, b: File, kind: SocketType), 10 2;
    NewListener = new_listener(to: File, family: Family, backlog: Backlog), 8 2;
    NewUdp = new_udp(a: File, b: File, family: Family), 5 1;
    NewClient = new_client(to: File, listener: File, lazy: Lazy), 8 4;
    Accept = accept_from(to: File, listener: File), 8 4;
    NewTimerfd = new_timerfd(to: File, ns: Nanoseconds), 3 1;
    NewSignalfd = new_signalfd(to: File), 2 1;
    NewInotify = new_inotify(to: File), 2 1;
    NewPidfd = new_pidfd(to: File), 1 1;
    NewIoUring = new_io_uring(to: File), 2 1;
    UringSubmit = uring_submit(file: File, what: Submitted, place: Any, events: PollEvents), 2 3;
    NewEpoll = new_epoll(to: File), 4 2;
    OpenFile = open_file(to: File, name: Name), 4 2;
    Write = write_to(file: File, bytes: Bytes), 4 14;
    Read = read_from(file: File, bytes: Bytes), 1 8;
    Send = send_to(file: File, bytes: Bytes, flags: MessageFlags), 2 6;
    Receive = receive(file: File, bytes: Bytes, flags: MessageFlags), 1 4;
    Shutdown = shut_down(file: File, how: How), 1 3;
    SetSocket = set_socket(file: File, option: SocketOption, value: SocketValue), 1 2;
    Disconnect = disconnect(file: File), 0 1;
    Close = close_place(place: Any), 1 10;
    Duplicate = duplicate(from: Any, to: Any), 1 3;
    Replace = replace(from: Any, to: Any), 1 2;
    Pass = pass(over: File, place: Any), 0 2;
    ReceivePassed = receive_passed(over: File, to: Any), 0 2;
    PollPlace = poll_place(place: Any, events: PollEvents, ms: Milliseconds), 0 3;
    EpollControl = epoll_control(epoll: File, op: EpollOp, place: Any, events: EpollEvents), 3 4;
    EpollGet = epoll_get(epoll: File, ms: Milliseconds), 0 2;
    Ioctl = ioctl_on(place: Any, request: Request), 0 1;
    ShowFdinfo = show_fdinfo(place: Queue), 0 2;
    Fork = fork_child(what: Child, queue: Queue, place: Any), 0 1;
    Disturb = disturb(who: Thread, signal: Signal), 0 3;
    OwnFiles = own_files(), 0 1;
    OwnLimit = own_limit(watches: Watches), 1 0;
    LimitFiles = limit_files(files: Files), 0 1;
    FailNth = fail_nth(nr: Nth), 2 4;
    Nap = nap(us: Microseconds), 0 3;
}

impl Call {
    /// A call for a program, or for what comes before its threads.
    pub fn choose(dice: &mut Dice, first: bool) -> Call {
        let weight = |of: &Weight| if first { of.first } else { of.later };
        let chosen = WEIGHTS.choose_weighted(dice, weight);
        let chosen = chosen.expect("not all weights are 0");
        Call::of(chosen.name, dice)
    }

    /// Whether it changes the process for what is run there later.
    pub fn stays(&self) -> bool {
        use Call::*;
        matches!(
            self,
            OwnLimit { .. } | LimitFiles { .. } | Fork { .. } | NewPidfd { .. } | Advise { .. }
        )
    }

    /// How often each kind can come, for who wants all of them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        WEIGHTS.iter().map(|weight| weight.name)
    }

    pub fn named(name: &str, dice: &mut Dice) -> Call {
        Call::of(name, dice)
    }
}
