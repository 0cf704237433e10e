/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt: a client of a BUS/RT broker.
 *
 * A client is one connection: a non-blocking state machine with a file descriptor, the events to
 * poll for, a timeout, and busrt_client_process(). Blocking calls stand on top of it.
 *
 * Results. Functions that return int give 0 or more on success and -errno on failure; outputs
 * (ret_…) are then untouched. Every function:
 *
 *   -EINVAL     an argument is NULL where it may not be, empty, or not what its comment says
 *   -ECHILD     after fork(2), in the child: only the free and unref functions work there
 *   -ENOTCONN   not connected yet, or closed before the call
 *   -ECONNRESET the connection went while the call waited (busrt_client_error() says why)
 *   -ENOMEM     no memory; nothing was sent, or the connection closed in the middle of a frame
 *
 * What the broker answers (docs/protocol.md, 3) has these numbers everywhere:
 *
 *   -EHOSTUNREACH not registered: nobody has that name    -EBUSY    the name is taken
 *   -EBADMSG      refused as malformed                    -ENOBUFS  not delivered: queue full
 *   -EIO          input/output error in the broker        -ETIME    timeout in the broker
 *   -EOPNOTSUPP   not supported                           -EACCES   access denied
 *   -EREMOTE      any other failure of the broker         -EPROTO   not BUS/RT, or a broken frame
 *
 * Time is in microseconds. Deadlines are given as spans: BUSRT_TIMEOUT_DEFAULT is the client's
 * timeout (busrt_client_set_timeout()), BUSRT_TIMEOUT_INFINITE none, 0 "do not wait". A call whose
 * time is up is -ETIMEDOUT.
 *
 * Threads. Any function may be called from any thread; only busrt_client_free() must be the last
 * call. Handlers run in busrt_client_process() and busrt_client_run(), in one thread at a time, in
 * the order of arrival, never inside a blocking call, and without a lock held: they may send, start
 * calls and reply. A blocking call reads the connection itself if nobody else does, and otherwise
 * waits until the thread that does has its answer. Called from a handler of the same client it is
 * -EDEADLK.
 *
 * Keep-alive. A client pings the broker once a second while somebody processes it or waits in a
 * call. A program that does neither for longer than the broker's timeout (5 s) is dropped by it.
 */
#ifndef BUSRT_CLIENT_H
#define BUSRT_CLIENT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <busrt/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BUSRT_TIMEOUT_INFINITE UINT64_MAX
#define BUSRT_TIMEOUT_DEFAULT (UINT64_MAX - 1)

/* Why `error` (negative or positive errno) came, as a short text. Static; never NULL. */
const char *busrt_strerror(int error);

/* --- The client --- */

typedef struct busrt_client busrt_client;

enum busrt_state {
        BUSRT_STATE_NEW,        /* not connected yet */
        BUSRT_STATE_CONNECTING, /* started, not registered yet */
        BUSRT_STATE_CONNECTED,
        BUSRT_STATE_CLOSED,       /* for good; busrt_client_error() says why */
        BUSRT_STATE_RECONNECTING, /* was connected, and tries to be again */
};

/* name: 1 … 1024 bytes of UTF-8, no control characters, not beginning with '.'; copied. With "%%"
 * in it a secondary, whose primary (what stands before) must be registered. Free with
 * busrt_client_free(). -ENAMETOOLONG. */
int busrt_client_new(const char *name, busrt_client **ret);
/* The same, but the name may begin with a dot, as those of the broker's own process may: one that
 * does can be connected by busrt_client_connect_stream() only, all else is -EINVAL. */
int busrt_client_new_for_stream(const char *name, busrt_client **ret);

/* A secondary of this client, not connected: its name is the primary's, "%%" and suffix (NULL: a
 * number of its own). It has the primary's settings and no handlers. Independent of the primary's
 * life, except that the broker disconnects it when the primary goes. */
int busrt_client_new_secondary(busrt_client *primary, const char *suffix, busrt_client **ret);

/* Closes at once (what is unsent is lost: busrt_client_flush()) and frees. Operations, frames,
 * requests and calls that the program still holds stay valid, and see -ECONNRESET. In a handler:
 * the client goes when the handler returns. In a forked child the parent's connection is left
 * alone. NULL is fine. Returns NULL. */
busrt_client *busrt_client_free(busrt_client *client);

/* --- Settings. Before connecting unless said otherwise (-EBUSY). --- */

/* How long connecting and blocking calls take at the most: 1000 … BUSRT_TIMEOUT_INFINITE, by
 * default 5 s. At any time. */
int busrt_client_set_timeout(busrt_client *client, uint64_t usec);
/* Between pings: 1000 or more, 0 = none; by default 1 s. */
int busrt_client_set_ping_interval(busrt_client *client, uint64_t usec);
/* How long a wait looks again and again before it sleeps: 0 … 1 s, by default 0. It shortens round
 * trips where CPUs are free, at the price of one. At any time. */
int busrt_client_set_busy_poll(busrt_client *client, uint64_t usec);
/* Bytes that may wait to be written before sending waits, too: 4096 …, by default 4 MiB. */
int busrt_client_set_send_buffer(busrt_client *client, size_t bytes);
/* Bytes that may wait to be handled or read before the connection is read no further (a blocking
 * call goes on reading for its answer): 4096 …, by default 64 MiB. */
int busrt_client_set_receive_buffer(busrt_client *client, size_t bytes);
/* The longest frame body that is sent or taken: 1024 … 2^32 - 1, by default 64 MiB. A longer one
 * closes the connection, -EMSGSIZE. */
int busrt_client_set_max_frame_size(busrt_client *client, size_t bytes);

/*
 * Reconnecting. limit is how long one absence may last: 0 closes the client at once, as by default;
 * BUSRT_TIMEOUT_INFINITE tries for ever; anything between, 1000 or more, closes it with the last
 * try's error when that time is up.
 *
 * When. A client comes back from whatever ends its connection, except from this program's own
 * busrt_client_disconnect(). busrt_client_connect() makes its first connection in one try;
 * busrt_client_connect_start() goes on trying from the start. A client of busrt_client_connect_fd()
 * has nowhere to go back to, and closes. Between tries is a pause: the first, then twice as long
 * each time up to the longest, of which each client takes a random part between half and all, so
 * that no two keep step. After a connection that lasted for the longest pause it begins anew. Each
 * try has the client's timeout. Host names are not looked up again.
 *
 * A try that fails is followed by another whatever connect(2) says, and where the broker says that
 * the name is taken (-EBUSY: it may be our own, of the connection that went) or that a secondary's
 * primary is not there (-EHOSTUNREACH). These close the client: -EACCES, -EBADMSG, -EOPNOTSUPP as
 * the broker's answer, -EPROTO from what speaks no BUS/RT.
 *
 * At the loss, operations, calls, waits for room and flushes that are under way end at once with
 * -ECONNRESET, whether the broker had them or not; bytes that were not written yet are dropped.
 * What had been received stays, and busrt_client_read() goes on waiting for what will come.
 * Requests stay open: they are replied to when it is back, or as anything that is sent meanwhile.
 *
 * While it is away, busrt_client_get_fd() stays the same descriptor, busrt_client_get_timeout()
 * tells when the next step is due, and busrt_client_process(), busrt_client_wait() and every call
 * that waits take it. A program that only ever sends takes a step with each call. Sending is
 * -ENOTCONN at once, or waits in the offline buffer. busrt_client_subscribe() and its three
 * siblings return 0 at once, with an operation that has succeeded where one is asked for, and hold
 * for the next connection.
 *
 * Back, the client first asks for its exclusions and subscriptions again: all that the program
 * asked for and did not take back, also what the broker had refused. What it refuses now is a
 * warning in the log. Being connected does not mean that the broker has handled them yet: it has
 * when it acknowledges anything that this client sent afterwards. Masks that are not UTF-8 or
 * longer than 65535 bytes are -EBADMSG in a client that reconnects. Then goes what waited in the
 * offline buffer, in its order, and then anything new. Whatever was published in between is missed.
 *
 * Secondaries reconnect by themselves, each for its own part, once their primary is back.
 */
int busrt_client_set_reconnect(busrt_client *client, uint64_t limit);
/* The pauses between tries: 1000 <= first <= longest <= an hour; by default 50 ms and 1 s. */
int busrt_client_set_reconnect_pause(busrt_client *client, uint64_t first, uint64_t longest);
/* Bytes of frames that may wait while the client connects or reconnects: 4096 …, by default 0:
 * none, sending is -ENOTCONN. Where they are full it is -EAGAIN, at once; -EMSGSIZE for a frame
 * that never fits. An operation that waits there gets its acknowledgement later (a call that waits
 * for it may be -ETIMEDOUT before, and the frame is sent all the same), or -ECONNRESET when the
 * client closes. Frames are sent once: those handed to a connection go with it. Calls never wait
 * there: busrt_client_call() and busrt_client_call_async() are -ENOTCONN. */
int busrt_client_set_offline_buffer(busrt_client *client, size_t bytes);

enum busrt_log_level { BUSRT_LOG_ERROR = 3, BUSRT_LOG_WARNING = 4, BUSRT_LOG_DEBUG = 7 };

/* What the library has to tell; by default nothing is printed. Called with no lock held, from any
 * thread that uses the client; text is one line without its end, and lives as long as the call. */
typedef void (*busrt_log_handler)(busrt_client *client, enum busrt_log_level level,
                                  const char *text, void *userdata);
int busrt_client_set_log_handler(busrt_client *client, busrt_log_handler handler, void *userdata);

/* Called from busrt_client_process() when the client becomes connected, reconnecting or closed;
 * error is 0, or why the connection went or the client closed. In its place among the other
 * handlers: what an old connection brought comes before, what the new one brings after. Several
 * losses before any could be told are told as one. It may do what any handler
 * may: send, start calls, disconnect, free the client. At any time; NULL for none. */
typedef void (*busrt_state_handler)(busrt_client *client, enum busrt_state state, int error,
                                    void *userdata);
int busrt_client_set_state_handler(busrt_client *client, busrt_state_handler handler,
                                   void *userdata);

/* --- Connecting --- */

/* address (docs/protocol.md, 8): a path that begins with '/' or ends in .sock, .socket or .ipc is a
 * UNIX socket, anything else host:port, whose addresses are tried in turn, one that does not answer
 * for its share of the time; NULL is the first that is there of $BUSRT_SOCKET,
 * $XDG_RUNTIME_DIR/busrt/bus.sock and /run/busrt/bus.sock. Blocks until the client is registered,
 * for the client's timeout at the most. Once per client: -EALREADY while it connects, -EISCONN
 * afterwards; after any failure but of the address (its form, its lookup) the client is closed.
 * Errors: connect(2)'s, -EHOSTUNREACH for a name that does not resolve, -EPROTONOSUPPORT for ws://
 * and wss://, and the broker's answers. */
int busrt_client_connect(busrt_client *client, const char *address);
/* The same, but only started: the state handler, or busrt_client_get_state(), tells how it ends. A
 * host's name is looked up first, which may block: give a number where that matters. */
int busrt_client_connect_start(busrt_client *client, const char *address);
/* As busrt_client_connect(), over a stream socket that is connected already. It is the client's on
 * success (and made non-blocking), and the caller's otherwise, to be closed. -EBADF, -ENOTSOCK;
 * -EINVAL: not a stream. */
int busrt_client_connect_fd(busrt_client *client, int fd);

/* A stream of bytes in the place of a socket, of the program's own (a tunnel, say) or of a broker
 * in the same process (busrt/broker.h). Its functions never wait. read and write may be called at
 * the same time by two threads, each by one at a time; close once, as the last. */
typedef struct busrt_stream {
        /* Readable (POLLIN) when it is worth trying again what gave -EAGAIN, or the stream has
         * ended. It stays the stream's, which keeps it open until close. */
        int fd;
        /* > 0: bytes read; 0: the end; -EAGAIN: nothing now; another -errno: it is broken. */
        ssize_t (*read)(void *userdata, void *to, size_t size);
        /* > 0: bytes taken, maybe less than all; -EAGAIN: none now; another -errno: it is broken.
         * What is written begins and goes on with whole frames. */
        ssize_t (*write)(void *userdata, const struct iovec *iov, size_t n);
        void (*close)(void *userdata);
        void *userdata;
} busrt_stream;

/* As busrt_client_connect(), over a stream. *stream is copied, and the stream is the client's,
 * which closes it, also when this fails; unless it is no stream: -EINVAL, something in it is
 * missing, or the client is NULL, or -ECHILD. */
int busrt_client_connect_stream(busrt_client *client, const busrt_stream *stream);

/* Closes at once, from any thread. All that waits ends with -ECONNRESET; busrt_client_error() is
 * then -ESHUTDOWN. Closed already: 0. */
int busrt_client_disconnect(busrt_client *client);

/* enum busrt_state, or -errno. */
int busrt_client_get_state(busrt_client *client);
/* Waits until the client is connected, where it connects or reconnects: 0; -ECONNRESET when it
 * closes, -ENOTCONN before connecting. */
int busrt_client_wait_connected(busrt_client *client, uint64_t timeout);
/* Why the client closed: -ECONNRESET the broker closed it, -ESHUTDOWN this program did, any other:
 * the fault. While it connects or reconnects: why the connection went, or the last try failed. 0:
 * no reason. */
int busrt_client_error(busrt_client *client);
/* Both live as long as the client. NULL for a client of NULL or after fork, the address also before
 * connecting. */
const char *busrt_client_get_name(busrt_client *client);
const char *busrt_client_get_address(busrt_client *client);

/* --- The event loop --- */

/* The descriptor to poll: the same for the client's whole life, also before and after a connection.
 * It belongs to the client. Do not read, write or close it. */
int busrt_client_get_fd(busrt_client *client);
/* What to poll it for: poll(2)'s POLLIN, always. */
int busrt_client_get_events(busrt_client *client);
/* When busrt_client_process() is to be called though nothing came: CLOCK_MONOTONIC, 0 = now,
 * UINT64_MAX = never. Ask again before each poll. */
int busrt_client_get_timeout(busrt_client *client, uint64_t *ret_usec);
/* Reads, writes, keeps time and calls handlers; never blocks, and does a bounded amount of work.
 * 1: something was done, call again; 0: nothing to do now, poll. On a closed client: when all that
 * had come is handled, the error. -EDEADLK in a handler. */
int busrt_client_process(busrt_client *client);
/* Waits until busrt_client_process() has something to do. 1, or 0 when the time is up. */
int busrt_client_wait(busrt_client *client, uint64_t timeout);
/* Processes and waits until the client is closed (busrt_client_disconnect()), and returns why: a
 * loop for a thread of its own. Never 0 or more. */
int busrt_client_run(busrt_client *client);

/* --- Operations --- */

enum busrt_qos {
        BUSRT_QOS_NO = 0,
        BUSRT_QOS_PROCESSED = 1, /* with an acknowledgement */
        BUSRT_QOS_REALTIME = 2,  /* flushed at once on the way */
        BUSRT_QOS_REALTIME_PROCESSED = 3,
        BUSRT_QOS_DONTWAIT = 0x100, /* or-ed to any: -EAGAIN instead of waiting for room to send */
};

/*
 * An operation that the broker acknowledges. With a QoS of "processed" and
 *   ret_op:  the operation is returned at once, to be waited for, looked at, or dropped by
 *            busrt_op_unref(): the acknowledgement is then taken and forgotten;
 *   NULL:    the call waits for the acknowledgement, for the client's timeout, and returns it.
 * Without "processed" there is no acknowledgement: ret_op must be NULL, and 0 says that the frame
 * is on its way. In a handler, ret_op may not be NULL with "processed" (-EDEADLK).
 *
 * Sending tries to write at once, and keeps what the socket does not take; in a handler that others
 * follow, what is sent goes out with what they send. When the send buffer is
 * full, it waits for room, for the client's timeout; in a handler, and with BUSRT_QOS_DONTWAIT, it
 * is -EAGAIN. An empty buffer takes any one legal frame. A wait reads what comes, too. -EMSGSIZE:
 * the frame is longer than the client allows.
 *
 * Payloads are n_iov pieces (iov may be NULL where n_iov is 0), copied or written before the call
 * returns. Names, topics and masks are UTF-8; they are judged by the broker.
 */
typedef struct busrt_op busrt_op;

int busrt_client_send(busrt_client *client, const char *target, const struct iovec *iov,
                      size_t n_iov, unsigned qos, busrt_op **ret_op);
int busrt_client_broadcast(busrt_client *client, const char *mask, const struct iovec *iov,
                           size_t n_iov, unsigned qos, busrt_op **ret_op);
int busrt_client_publish(busrt_client *client, const char *topic, const struct iovec *iov,
                         size_t n_iov, unsigned qos, busrt_op **ret_op);
/* Only to subscribers of that primary name. */
int busrt_client_publish_for(busrt_client *client, const char *topic, const char *receiver,
                             const struct iovec *iov, size_t n_iov, unsigned qos,
                             busrt_op **ret_op);

/* Lists of n_topics masks, at least one. An exclusion takes away what subscriptions bring. */
int busrt_client_subscribe(busrt_client *client, const char *const *topics, size_t n_topics,
                           unsigned qos, busrt_op **ret_op);
int busrt_client_unsubscribe(busrt_client *client, const char *const *topics, size_t n_topics,
                             unsigned qos, busrt_op **ret_op);
int busrt_client_exclude(busrt_client *client, const char *const *topics, size_t n_topics,
                         unsigned qos, busrt_op **ret_op);
int busrt_client_unexclude(busrt_client *client, const char *const *topics, size_t n_topics,
                           unsigned qos, busrt_op **ret_op);

/* Tells the broker that the client lives. It is not answered. */
int busrt_client_ping(busrt_client *client);

/* Waits for the acknowledgement. 0 or the broker's answer; -ETIMEDOUT leaves the operation as it
 * is. */
int busrt_op_wait(busrt_op *op, uint64_t timeout);
/* -EINPROGRESS, or what busrt_op_wait() would return. Processes nothing. */
int busrt_op_result(busrt_op *op);
/* Called once, from busrt_client_process(), with the result; at once in the next one if it is there
 * already. The operation holds itself until then. NULL takes the handler back. -EALREADY: one was
 * called. */
typedef void (*busrt_op_handler)(busrt_op *op, int result, void *userdata);
int busrt_op_set_handler(busrt_op *op, busrt_op_handler handler, void *userdata);
/* A handler that is set runs all the same. They return their argument, and NULL. */
busrt_op *busrt_op_ref(busrt_op *op);
busrt_op *busrt_op_unref(busrt_op *op);

/* Between cork and uncork what is sent is gathered, and written in large pieces; realtime too. They
 * nest; uncork without cork is -EINVAL. A blocking call writes all the same. */
int busrt_client_cork(busrt_client *client);
int busrt_client_uncork(busrt_client *client);
/* Waits until all that was sent is written to the socket. */
int busrt_client_flush(busrt_client *client, uint64_t timeout);
/* Bytes that wait to be written, or -errno. */
ssize_t busrt_client_get_unsent(busrt_client *client);

/* --- Frames received --- */

/* A frame received, counted. It points into the memory that it was read into (128 KiB, or its own
 * where it is larger), and keeps that while it lives. */
typedef struct busrt_frame busrt_frame;

enum busrt_kind {
        BUSRT_KIND_MESSAGE = 1,
        BUSRT_KIND_BROADCAST,
        BUSRT_KIND_PUBLICATION,
        BUSRT_KIND_REPLY, /* to a call: busrt_client_call() */
};

/* Each arriving frame, from busrt_client_process(); the frame is borrowed, busrt_frame_ref() keeps
 * it. At any time; NULL, as at the start: frames wait for busrt_client_read(). */
typedef void (*busrt_frame_handler)(busrt_client *client, busrt_frame *frame, void *userdata);
int busrt_client_set_frame_handler(busrt_client *client, busrt_frame_handler handler,
                                   void *userdata);
/* The next frame, waited for; the caller's reference. -ENOTCONN also while connecting. -ETIMEDOUT
 * (-EAGAIN for a timeout of 0). After the client has closed, first what had come, then -ECONNRESET;
 * one that reconnects waits on. */
int busrt_client_read(busrt_client *client, uint64_t timeout, busrt_frame **ret);

/* These have no errors. NULL: kind 0, strings and payload NULL, length 0. */
enum busrt_kind busrt_frame_get_kind(const busrt_frame *frame);
const char *busrt_frame_get_sender(const busrt_frame *frame);
/* NULL unless a publication. */
const char *busrt_frame_get_topic(const busrt_frame *frame);
/* Of a reply: the result. Not NUL-terminated. */
const void *busrt_frame_get_payload(const busrt_frame *frame, size_t *ret_len);
/* 1 or 0. */
int busrt_frame_is_realtime(const busrt_frame *frame);
busrt_frame *busrt_frame_ref(busrt_frame *frame);
busrt_frame *busrt_frame_unref(busrt_frame *frame);

#ifdef __cplusplus
}
#endif

#endif
