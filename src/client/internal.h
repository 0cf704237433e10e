/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt inside. One mutex guards a client; two roles divide the work between threads:
 *
 *   the reader      whoever holds it (reading) polls and reads the socket: a blocking call that
 *                   found the role free, or busrt_client_process() and busrt_client_wait(). While
 *                   it sleeps or receives, the mutex is free.
 *   the dispatcher  busrt_client_process(), while it runs handlers (dispatching), without the
 * mutex.
 *
 * What arrives is parsed at once into what it ends (acknowledgements, replies) and into two queues:
 * events, for handlers, and the inbox, for busrt_client_read(). Blocking calls look at their
 * condition after each read, and never run handlers.
 *
 * Objects that the program holds (operations, calls, requests) hold the client's memory.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <pthread.h>
#include <stdatomic.h>

#include <busrt/client.h>
#include <busrt/rpc.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "transport/transport.h"

#define PUBLIC __attribute__((visibility("default")))
#define USEC_PER_SEC UINT64_C(1000000)

#define CHUNK_SIZE ((size_t)128 * 1024) /* what one read takes, and a corked write gathers */
#define DISPATCH_BATCH 256              /* events handled in one busrt_client_process() */
#define DIRECT_PIECES 24                /* of a frame that are written from where they lie */

/* --- Memory that was read into, counted: by the input, and by each frame that points into it ---
 */

struct chunk {
        atomic_uint refs;
        size_t size;
        uint8_t data[];
};

struct chunk *chunk_new(size_t size);
struct chunk *chunk_unref(struct chunk *chunk);

/* --- What a handler will be called for --- */

enum event_kind {
        EVENT_FRAME,
        EVENT_NOTIFICATION,
        EVENT_REQUEST,
        EVENT_REQUEST_END,
        EVENT_OP,
        EVENT_CALL,
        EVENT_CURSOR,
        EVENT_CONNECTED, /* these two are the client's own */
        EVENT_LOST,
};

struct event {
        STAILQ_ENTRY(event) link;
        enum event_kind kind;
        uint64_t number; /* in the order of arrival; 0: not yet */
};

STAILQ_HEAD(event_queue, event);

struct busrt_frame {
        struct event event; /* frame or notification; also its place in the inbox */
        atomic_uint refs;
        enum busrt_kind kind;
        bool realtime;
        struct chunk *chunk;
        size_t charge;      /* bytes of it in the receive buffer */
        const char *sender; /* with its NUL, as the topic */
        const char *topic;
        const uint8_t *payload;
        size_t len;
};

/* --- What waits for an answer, by its id: see slots.c --- */

enum pending_kind { PENDING_OP, PENDING_CALL };

struct pending {
        enum pending_kind kind;
        uint32_t id; /* 0: in no slot */
};

struct slots {
        struct pending **slot;
        uint32_t size; /* a power of two, or 0 */
        uint32_t used;
        uint32_t last_id;
};

/* Gives it an id. -ENOMEM. */
int slots_add(struct slots *slots, struct pending *item);
/* An id that nothing waits for. */
uint32_t slots_take_id(struct slots *slots);
struct pending *slots_find(const struct slots *slots, uint32_t id);
void slots_remove(struct slots *slots, struct pending *item);
void slots_done(struct slots *slots);

struct busrt_op {
        struct pending pending;
        struct event event;
        atomic_uint refs; /* the holders', one of the slot, one of the queue of events */
        busrt_client *client;
        int result; /* -EINPROGRESS until there is one */
        bool queued, handled;
        busrt_op_handler handler;
        void *userdata;
};

enum call_state { CALL_WAITING, CALL_ENDED, CALL_HANDLED, CALL_CANCELLED };

struct busrt_call {
        struct pending pending;
        struct event event;
        RB_ENTRY(busrt_call) by_deadline;
        atomic_uint refs; /* the holder's, and one until it is handled or cancelled */
        busrt_client *client;
        enum call_state state;
        bool timed;                  /* in client->calls */
        uint64_t deadline;           /* of an asynchronous one */
        busrt_reply_handler handler; /* NULL: somebody waits for it */
        void *userdata;
        int result;
        busrt_rpc_error error;
        busrt_frame *reply;
        char target[]; /* who alone may reply */
};

RB_HEAD(call_tree, busrt_call);

struct busrt_request {
        struct event event; /* its arrival, then its end */
        LIST_ENTRY(busrt_request) link;
        RB_ENTRY(busrt_request) by_deadline;
        atomic_uint refs;
        atomic_int ended; /* 0: no; -EALREADY: by a reply; or why. Nobody looks for it then */
        bool linked;      /* in client->requests */
        bool running;     /* its handler was called; counted in client->n_running */
        bool timed;       /* in client->deadlines */
        bool end_queued, end_told;
        uint64_t deadline;
        busrt_request_end_handler on_end;
        void *on_end_data;
        busrt_client *client;
        busrt_frame *frame;
        uint32_t id;
        const char *method;
        const uint8_t *params;
        size_t len;
        STAILQ_ENTRY(busrt_request) of_cursor; /* one of its calls */
        size_t wanted;
        bool bulk;
};

LIST_HEAD(request_list, busrt_request);
RB_HEAD(request_tree, busrt_request);

/* --- The client --- */

enum phase {
        PHASE_CONNECT,
        PHASE_GREETING,
        PHASE_VERSION,
        PHASE_NAME,
        PHASE_READY,
        PHASE_PAUSE, /* the connection, or a try, ended: until the next */
};

/* How the connection is being made: connect.c. */
struct connecting {
        enum phase phase;
        struct transport_target targets[TRANSPORT_TARGETS_MAX];
        int n_targets, at;
        bool pending;    /* connect(2) has not ended */
        uint64_t act_at; /* then the next target gets its turn, or a full backlog another try, or
                          * the pause is over; 0: none
                          */
        uint64_t deadline;
};

/* Coming back: reconnect.c. */
struct reconnect {
        uint64_t limit; /* of one absence; 0: the client closes instead */
        uint64_t first_pause, longest_pause;
        bool armed;          /* it was registered, or may wait for its first time */
        unsigned tries;      /* since a connection that lasted */
        uint64_t give_up_at; /* UINT64_MAX: never */
        uint64_t since;      /* of this connection */
        uint32_t restore_id; /* of what asks for the subscriptions again */
        int lost_by;         /* why the connection went */
        int reason;          /* of being away still */
};

/* What the program has subscribed to and excluded, for the next connection: topics.c. */
struct wish {
        RB_ENTRY(wish) link;
        uint8_t op; /* of the protocol, that brings it about */
        char topic[];
};

RB_HEAD(wish_tree, wish);

/* Read only with the reader's role. */
struct input {
        struct chunk *chunk;
        size_t start, end; /* of what is not parsed */
        bool starved;      /* a whole frame is there, and was no memory for it */
};

struct output {
        uint8_t *data;
        size_t start, end, size; /* start … end is unsent */
        unsigned corked;
        bool broken; /* the peer takes no more; what it said last is read still */
        int error;   /* then: why */
};

struct busrt_client {
        pthread_mutex_t lock;
        pthread_cond_t changed;         /* an answer, an event, a role given up, the end */
        atomic_uint refs;               /* the program's, and one of each op, call and request */
        const unsigned char *fork_mark; /* 1; 0 in a forked child: the page is wiped there */
        char *name, *address;
        atomic_uint secondaries; /* made, for their numbers */

        uint64_t timeout, ping_interval, busy_poll;
        size_t send_buffer, receive_buffer, max_frame;

        enum busrt_state state;
        int error; /* why it closed */
        bool told_closed;
        struct event connected_event, lost_event;
        bool connected_queued, lost_queued;
        bool tell_connected; /* what connected_event is for, still */
        bool tell_back;      /* with lost_event: that it has come back */
        int fd;              /* the socket, or the stream's */
        busrt_stream stream; /* in the place of a socket; else all zero */
        int epoll_fd;        /* what the program polls: fd and loop_fd */
        int loop_fd;         /* eventfd: there is something to process */
        int poke_fd;         /* eventfd: who reads shall look again */
        uint32_t interest;   /* of epoll_fd in fd */
        struct connecting connecting;
        struct reconnect reconnect;
        unsigned generation; /* of the connection: changes when one ends */
        uint64_t next_ping;

        unsigned waiters;     /* threads in cond_wait */
        unsigned callers;     /* threads in blocking calls */
        bool loop_woken;      /* loop_fd is readable */
        bool gone;            /* freed by the program; what it holds keeps the memory */
        bool reading, asleep; /* the reader's role; its holder is in poll or recv, unlocked */
        bool dispatching;     /* the dispatcher's role */
        bool freed;           /* by a handler: goes when it returns */
        bool more_follows;    /* the dispatcher's: writes of this handler are gathered */
        pthread_t dispatcher;

        struct input input;
        struct output output;
        size_t offline_buffer; /* bytes that wait for a connection; 0: none may */
        struct output offline;
        struct wish_tree wishes;
        struct slots slots;
        struct call_tree calls;        /* asynchronous ones with a deadline */
        bool has_called;               /* replies are no ordinary frames any more */
        struct methods *methods;       /* NULL: never had any */
        struct topic_handlers *topics; /* NULL: never had any */
        struct cursors *cursors;       /* NULL: never had any */
        struct request_list requests;  /* that have not ended */
        struct request_tree deadlines; /* of those that have one */
        size_t n_running, max_running;
        uint64_t request_timeout;
        struct event_queue events, inbox;
        uint64_t n_arrived;
        size_t queued;            /* bytes of frames in both */
        struct event_queue spare; /* frames to be used again */
        unsigned n_spare;

        atomic_uint handlers_version; /* changes with any of the handlers of frames */
        busrt_frame_handler on_frame;
        void *on_frame_data;
        busrt_notification_handler on_notification;
        void *on_notification_data;
        busrt_request_handler on_request;
        void *on_request_data;
        busrt_state_handler on_state;
        void *on_state_data;
        busrt_log_handler on_log;
        void *on_log_data;
        char *log_text; /* told when the lock is given up */
        enum busrt_log_level log_level;
};

static inline uint64_t now_usec(void)
{
        return clock_nsec(CLOCK_MONOTONIC) / NSEC_PER_USEC;
}

/* A moment, of a span from now; UINT64_MAX is never. */
static inline uint64_t usec_after(uint64_t now, uint64_t span)
{
        return span >= UINT64_MAX - now ? UINT64_MAX : now + span;
}

static inline bool client_forked(const busrt_client *c)
{
        return *(const volatile unsigned char *)c->fork_mark == 0;
}

/* --- client.c --- */

/* -EINVAL, -ECHILD, or 0 with the client locked. */
int client_lock(busrt_client *c);
/* Unlocks, and then tells the log what there was to tell. Returns r. */
int client_unlock(busrt_client *c, int r);
busrt_client *client_ref(busrt_client *c);
busrt_client *client_unref(busrt_client *c);
/* All below want the client locked. */
/* 0, or why nothing can be sent: -ENOTCONN. */
int client_is_live(const busrt_client *c);
/* No connection, but there may be one. */
static inline bool client_is_away(const busrt_client *c)
{
        return c->state == BUSRT_STATE_CONNECTING || c->state == BUSRT_STATE_RECONNECTING;
}
/* The socket, if there is one still, is of no use any more. */
static inline bool client_is_over(const busrt_client *c)
{
        return c->state == BUSRT_STATE_CLOSED || c->connecting.phase == PHASE_PAUSE;
}
bool client_in_handler(const busrt_client *c);
/* One line for the log handler. Of several in one go the first is told. */
void client_log(busrt_client *c, enum busrt_log_level level, const char *format, ...)
        _printf_(3, 4);
/* The client ends: all that waits gets -ECONNRESET. error, negative, is what busrt_client_error()
 * says. */
void client_close(busrt_client *c, int error);
void client_close_socket(busrt_client *c);
/* All operations and calls end with -ECONNRESET. */
void client_finish_pending(busrt_client *c);
/* The socket is done with: closed now, or by who reads it. */
void client_end_socket(busrt_client *c);
/* The moment that a timeout of the public interface means. */
uint64_t client_deadline(const busrt_client *c, uint64_t timeout);

/* --- connect.c --- */

/* connect(2) or the handshake goes on as far as it can; p, len: bytes received, of which the
 * return value is used up. */
void connect_continue(busrt_client *c);
size_t connect_input(busrt_client *c, const uint8_t *p, size_t len);
/* Retries and gives up. */
void connect_keep_time(busrt_client *c, uint64_t now);
/* One try at the targets that there are. */
void connect_try(busrt_client *c, uint64_t now);

/* --- reconnect.c --- */

/* The connection, or a try, ended by itself: the client comes back, or closes. */
void client_lost(busrt_client *c, int error);
/* The pause between two tries is over, or the patience. */
void reconnect_keep_time(busrt_client *c, uint64_t now);
/* The name is registered: first comes what is to be restored, then what waited. -ENOMEM. */
int reconnect_restore(busrt_client *c);
/* The broker's answer to one of the former. */
void reconnect_restored(busrt_client *c, int result);
/* Before sending: 0, or -ENOTCONN. What waits for a connection is sent later. */
int client_may_send(const busrt_client *c);

/* --- stream.c: of a socket or a stream --- */

static inline bool client_is_stream(const busrt_client *c)
{
        return c->stream.read != NULL;
}

ssize_t client_read(busrt_client *c, void *to, size_t size);
/* Changes the pieces. */
ssize_t client_write(busrt_client *c, struct iovec *iov, size_t n);
/* What it is to be polled for: by who reads, and by the program's loop. */
short client_poll_events(const busrt_client *c);
uint32_t client_loop_events(const busrt_client *c, bool is_full);
/* What poll(2) found may mean that there is room. */
bool client_may_write(const busrt_client *c, short revents);
void client_close_fd(busrt_client *c);
/* Whoever is in a read of it finds the end. */
void client_shut_down(const busrt_client *c);

/* --- input.c --- */

/* One read, and all whole frames in it. The caller has the reader's role. 1: something came; 0: not
 * now; -ENOMEM: try again later; the end of the connection is found in its state. */
int input_read(busrt_client *c);
/* What is there already, within bounds, for the last words of a broker that closed. */
void input_drain(busrt_client *c);
void input_done(struct input *input);

/* --- output.c --- */

#define OUTPUT_DONTWAIT 1u  /* -EAGAIN where there is no room */
#define OUTPUT_FORCE 2u     /* room is taken */
#define OUTPUT_HANDSHAKE 4u /* before the client is registered */

/* Sends the pieces, n of len bytes together, whole or not at all. May unlock to wait for room,
 * until the deadline (NULL: the client's timeout). */
int output_send(busrt_client *c, const struct iovec *iov, size_t n, size_t len, unsigned flags,
                const uint64_t *deadline);
/* Puts the pieces behind what waits, and writes nothing. -ENOMEM. */
int output_append(struct output *o, const struct iovec *iov, size_t n, size_t len);
/* Empty again, without its memory. */
void output_done(struct output *o);
/* Writes what the socket takes now. True: something was written. */
bool output_write(busrt_client *c);
static inline size_t output_unsent(const struct output *o)
{
        return o->end - o->start;
}
/* Something is to be written now, not when the cork goes. */
static inline bool output_is_due(const busrt_client *c)
{
        bool may_wait = c->output.corked > 0 && c->callers == 0 && !client_is_away(c);

        return output_unsent(&c->output) >= (may_wait ? CHUNK_SIZE : 1);
}

/* --- wait.c --- */

typedef bool (*wait_condition)(const busrt_client *c, const void *arg);

/* Waits until done(), reading if nobody else does: 0, -ETIMEDOUT, -ECONNRESET, -ENOTCONN, -EDEADLK.
 * Unlocks meanwhile. */
int client_wait_for(busrt_client *c, wait_condition done, const void *arg, uint64_t deadline);
/* Before sending, for a program that never waits: what is due of coming back, as far as it can be
 * done at once. May unlock. */
void client_look(busrt_client *c);
/* Takes or leaves the reader's role. */
bool reader_enter(busrt_client *c);
void reader_leave(busrt_client *c);
/* When something is due though nothing comes. */
uint64_t client_next_time(const busrt_client *c);
/* Pings, deadlines of calls, of connecting. True: something was due. */
bool client_keep_time(busrt_client *c);
/* What the program's poll waits for follows the state of the buffers. */
void client_update_interest(busrt_client *c);
/* Wakes whoever polls the client, takes that back, and wakes whoever reads it. */
void client_wake_loop(busrt_client *c);
void client_loop_awake(busrt_client *c);
void client_wake_reader(busrt_client *c);
/* Somebody's condition may hold now. */
void client_changed(busrt_client *c);

/* --- arrivals.c --- */

/* Puts it where handlers find it. The loop learns of it. */
void event_add(busrt_client *c, struct event *event);
/* The state handler is to hear of it, in the order of arrival: each loss once, and whether it is
 * over. */
void events_tell_connected(busrt_client *c);
void events_tell_lost(busrt_client *c);
bool events_wait(const busrt_client *c);
/* Takes a frame that is no reply, for the handler that there is for it or for busrt_client_read().
 * -ENOMEM: it does not. */
int frame_sort(busrt_client *c, busrt_frame *frame);
/* Drops all that waits to be handled or read. */
void events_drop(busrt_client *c);

/* --- frame.c --- */

busrt_frame *frame_new(busrt_client *c);
/* A released frame's memory is kept for the next, if it is the last reference. */
void frame_recycle(busrt_client *c, busrt_frame *frame);
static inline void busrt_frame_unrefp(busrt_frame **frame)
{
        busrt_frame_unref(*frame);
}

/* --- op.c --- */

void op_finish(busrt_op *op, int result);
/* One frame of the protocol: flags of BUSRT_QOS_…, head (target, topic …) and payload. */
struct send {
        uint8_t op;
        unsigned qos;
        bool bare;                     /* nothing is before the payload */
        const char *target, *receiver; /* with their NULs; receiver may be NULL */
        const uint8_t *rpc_head;       /* or NULL */
        size_t rpc_head_len;
        const char *method; /* with its NUL; or NULL */
        const struct iovec *iov;
        size_t n_iov;
        unsigned output_flags;
        const uint64_t *deadline; /* of waiting for room; NULL: the client's timeout */
        struct wish_change *wish; /* comes into force with the frame; or NULL */
};
/* Checks what is wrong with the arguments themselves. */
int send_check(const struct send *send);
/* The client is locked; id is the operation's. */
int send_frame(busrt_client *c, const struct send *send, uint32_t id);
/* From a public function: locks, sends, and hands the operation out or waits. */
int send_operation(busrt_client *c, struct send *send, busrt_op **ret_op);
int send_operation_locked(busrt_client *c, struct send *send, busrt_op **ret_op);
void send_encode_header(uint8_t *header, uint8_t op, unsigned qos, uint32_t id, size_t len);

/* --- topics.c --- */

void wish_change_apply(busrt_client *c, struct wish_change *change);
void wishes_done(struct wish_tree *wishes);
int wish_compare(const struct wish *a, const struct wish *b);
RB_PROTOTYPE(wish_tree, wish, link, wish_compare)

/* --- call.c --- */

/* Its handler, or whoever waits for it, gets the result. */
void call_end(busrt_call *call, int result);
void call_acknowledged(busrt_call *call, int result);
struct rpc_message;
/* A reply of sender's: to a call, or too late. */
void call_reply(busrt_client *c, busrt_frame *frame, const struct rpc_message *reply);
void call_keep_time(busrt_client *c, uint64_t now);
int call_compare(const busrt_call *a, const busrt_call *b);
RB_PROTOTYPE(call_tree, busrt_call, by_deadline, call_compare)

/* --- request.c --- */

/* A request arrived: takes the frame. -ENOMEM: it does not. */
int request_receive(busrt_client *c, busrt_frame *frame, const struct rpc_message *message);
/* Its handler is to be called now: it counts, and has so much time from now on. */
void request_start(busrt_request *request, uint64_t timeout);
int request_reply(busrt_request *request, const struct iovec *iov, size_t n_iov);
int request_fail(busrt_request *request, int code, const char *text);
/* With what a method's handler may return: a code or an -errno. */
void request_fail_as(busrt_request *request, int r);
/* A client's name is this, or that of a secondary of it. */
bool name_is_of(const char *name, const char *primary);
/* Takes it out of all that looks for requests. */
void request_forget(busrt_request *request);
/* Nobody will handle it, nor its end. */
void request_drop(busrt_request *request);
/* Deadlines; and the end of those whose handlers were called, when the client closes. */
void request_keep_time(busrt_client *c, uint64_t now);
void request_end_all(busrt_client *c, int result);
/* Its end handler is called, without the lock. */
void request_tell_end(busrt_request *request);
int request_compare(const busrt_request *a, const busrt_request *b);
RB_PROTOTYPE(request_tree, busrt_request, by_deadline, request_compare)

/* --- methods.c --- */

/* There is a method that a request may be for. */
bool methods_any(const busrt_client *c);
void methods_free(struct methods *methods);
/* A request's turn, without the lock: by its method, or else by the other handler, which may be
 * NULL. */
void request_run(busrt_request *request, busrt_request_handler other, void *other_data);

/* --- cursor.c, cursor-call.c, cursor-end.c --- */

uint64_t cursors_next_time(const busrt_client *c);
void cursors_keep_time(busrt_client *c, uint64_t now);
/* Of a client that the program has freed, without the lock: all that is the program's is given
 * back. */
void cursors_end(busrt_client *c);
void cursors_free(struct cursors *cursors);
/* Its program has answered, or it is over: without the lock. */
void cursor_run(struct event *event);
void cursor_drop_event(struct event *event);

/* --- topic-handlers.c --- */

bool topic_handlers_any(const busrt_client *c);
/* There is a handler for this frame. */
bool topic_handlers_want(const busrt_client *c, const busrt_frame *frame);
/* Calls the handler of a publication, without the lock. False: there is none. */
bool topic_handlers_run(busrt_client *c, busrt_frame *frame);
void topic_handlers_free(struct topic_handlers *topics);

/* --- arrivals.c, again: handlers have changed --- */

/* What came before, and was not read yet, is sorted again. -ENOMEM: requests stay messages. */
int frames_sort_again(busrt_client *c);

/* --- strerror.c --- */

/* enum wire_result as -errno; 0 for ok. */
int client_errno(uint8_t result);
