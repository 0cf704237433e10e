/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Static probes (USDT, provider "busrt") for bpftrace, perf and gdb. Each is one instruction that
 * does nothing, and a note in the file that says where the arguments lie: in registers, or in
 * memory at a distance from one. So those on the path of every frame pass fields as they are and
 * compute nothing.
 *
 * docs/tracing.md tells people of them; docs/examples/busrt.bt uses them all.
 */
#pragma once

#ifdef BUSRT_USDT

/* clang would copy each argument to the stack, where it may choose. So there all are fields, and
 * stay in memory. */
#if defined __clang__ && defined __x86_64__
#define STAP_SDT_ARG_CONSTRAINT o
#endif
#include <sys/sdt.h>

/* id, name, kind (1 UNIX, 2 TCP), uid and pid of UNIX peers, "address:port" of TCP ones */
#define PROBE_CONNECT(s)                                                                           \
        do {                                                                                       \
                const char *_source = (s)->peer.source;                                            \
                                                                                                   \
                DTRACE_PROBE6(busrt, connect, (s)->id, (s)->name, (s)->kind, (s)->peer.uid,        \
                              (s)->peer.pid, _source);                                             \
        } while (0)

/* id, name, frames that it sent, frames that were queued for it, of these dropped, and of these
 * still waiting */
#define PROBE_GONE(s)                                                                              \
        DTRACE_PROBE6(busrt, gone, (s)->id, (s)->name, (s)->counters.r_frames,                     \
                      (s)->counters.w_frames, (s)->counters.dropped, (s)->queue.n_frames)

/* sender's id and name, receiver's id and name, bytes as the counters count them, enum wire_kind */
#define PROBE_ROUTED(f, to)                                                                        \
        DTRACE_PROBE6(busrt, routed, (f)->sender->id, (f)->sender->name, (to)->id, (to)->name,     \
                      (f)->counted, (f)->kind)

/* sender's id and name, receiver's id and name, frames and bytes that wait for it */
#define PROBE_PACED(from, to)                                                                      \
        DTRACE_PROBE6(busrt, paced, (from)->id, (from)->name, (to)->id, (to)->name,                \
                      (to)->queue.n_frames, (to)->queue.n_bytes)

/* id, name, frames and bytes that wait for it, enum slow_policy */
#define PROBE_STRUCK(s, policy)                                                                    \
        DTRACE_PROBE5(busrt, struck, (s)->id, (s)->name, (s)->queue.n_frames, (s)->queue.n_bytes,  \
                      policy)

#else

#define PROBE_CONNECT(s) ((void)0)
#define PROBE_GONE(s) ((void)0)
#define PROBE_ROUTED(f, to) ((void)0)
#define PROBE_PACED(from, to) ((void)0)
#define PROBE_STRUCK(s, policy) ((void)0)

#endif
