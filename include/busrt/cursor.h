/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt: cursors (docs/protocol.md, 10). A cursor is how a server of remote calls gives a large
 * result out piece by piece: a method answers with the cursor's id, and by further calls the client
 * takes one item after the other, or many at a time. Compatible with the reference's cursors.
 * Results, time and threads are as <busrt/client.h> says.
 */
#ifndef BUSRT_CURSOR_H
#define BUSRT_CURSOR_H

#include <busrt/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a server calls its methods; the reference has no names of its own, and its example takes
 * "N" and "NB". UTF-8, not empty, copied; NULL: there is no such method. */
typedef struct busrt_cursor_methods {
        const char *next;      /* {u: id}: one item; nothing at the end */
        const char *next_bulk; /* {u: id, n: count}: an array of so many, of fewer at the end */
        const char *cancel;    /* {u: id}: the cursor is wanted no more; the reference has none */
} busrt_cursor_methods;

/* --- Giving out --- */

/* A cursor, counted. It ends with its last item, by an error, when it was not used for its time to
 * live, when it is cancelled or closed, and with its client. */
typedef struct busrt_cursor busrt_cursor;

enum busrt_cursor_answer {
        BUSRT_CURSOR_END = 0,   /* there is nothing behind what was put now */
        BUSRT_CURSOR_MORE = 1,  /* something was put, and more may follow */
        BUSRT_CURSOR_LATER = 2, /* busrt_cursor_continue() will tell */
};

/*
 * Asked for the next items, as many as wanted or fewer, at least one: puts them by
 * busrt_cursor_put(), and returns one of the above, or an error as a method's handler would. After
 * MORE it is called again until there are as many as the caller wanted; MORE with nothing put is an
 * error. An error ends the cursor: what the same call had put is lost, and the caller gets the
 * error instead.
 *
 * Called from busrt_client_process(), for one call of one cursor at a time: calls that come while
 * a cursor is at LATER wait, up to 64 of them (then BUSRT_RPC_BUSY).
 */
typedef int (*busrt_cursor_next_handler)(busrt_cursor *cursor, size_t wanted, void *userdata);
/* Called once, when the cursor has ended; never while next runs, nor between LATER and
 * busrt_cursor_continue(). From busrt_client_process() or busrt_client_free(), or, where the client
 * was freed before the latter, from that. */
typedef void (*busrt_cursor_free_handler)(void *userdata);

/* Answers a request with a new cursor: {u: id}. ttl: how long it lives without being used, 1 …
 * BUSRT_TIMEOUT_INFINITE; BUSRT_TIMEOUT_DEFAULT is 30 s. free_userdata may be NULL; on failure it
 * is not called, and userdata are the caller's. -EBUSY: there are as many cursors as there may be.
 * -EINVAL also: the request wants no reply. Others as of busrt_request_reply(). */
int busrt_request_reply_cursor(busrt_request *request, busrt_cursor_next_handler next,
                               busrt_cursor_free_handler free_userdata, void *userdata,
                               uint64_t ttl);
/* The same without the reply, for one that says more than the id; ret is the caller's reference.
 * Whatever then becomes of the reply, the cursor lives until it ends: busrt_cursor_close(). */
int busrt_cursor_new(busrt_request *request, busrt_cursor_next_handler next,
                     busrt_cursor_free_handler free_userdata, void *userdata, uint64_t ttl,
                     busrt_cursor **ret);
/* The 16 bytes of a UUID, of version 4; they live as long as the cursor. NULL for NULL. */
const unsigned char *busrt_cursor_get_id(const busrt_cursor *cursor);
busrt_cursor *busrt_cursor_ref(busrt_cursor *cursor);
busrt_cursor *busrt_cursor_unref(busrt_cursor *cursor);

/* Puts one item, copied, in n_iov pieces: from next, or by any thread between LATER and
 * busrt_cursor_continue(). Not empty; for a bulk just one value of MessagePack, else -EBADMSG. An
 * item of a single next is for the programs to agree on. -ENOSPC: there are as many as were wanted;
 * -EMSGSIZE: the reply is longer than the client allows. -EALREADY: nobody asks. What became of who
 * asked: -ECANCELED the call or the cursor was cancelled, -ETIMEDOUT the request's time was up,
 * -ECONNRESET the client closed; then the cursor ends, whatever next returns. */
int busrt_cursor_put(busrt_cursor *cursor, const struct iovec *iov, size_t n_iov);
/* After LATER, or before next has returned it: END, MORE or an error, once, from any thread.
 * -ECONNRESET: the client was freed. -EALREADY: nobody waits for it. */
int busrt_cursor_continue(busrt_cursor *cursor, int answer);
/* Ends it: who asks for more gets BUSRT_RPC_NOT_FOUND, who waits for items too. 0, also where it
 * had ended. */
int busrt_cursor_close(busrt_cursor *cursor);

/* Adds methods that serve all cursors of this client, at least one, or none of them. At any time;
 * again, under other names. They go by busrt_client_remove_method(). -EEXIST. */
int busrt_client_add_cursor_methods(busrt_client *client, const busrt_cursor_methods *methods);
/* How many cursors there may be that have not ended: of each client, its secondaries counted with
 * it, by default 256, and of all, by default 4096; 1 … SIZE_MAX. At any time. */
int busrt_client_set_max_cursors(busrt_client *client, size_t of_each, size_t of_all);
/* The most items of one bulk: 1 … 2^32 - 1, by default 65536. A call for more gets
 * BUSRT_RPC_INVALID_PARAMS: fewer items than were asked for would mean the end. At any time. */
int busrt_client_set_max_bulk(busrt_client *client, size_t items);
/* 1: only the client that opened a cursor may use it, under its name or that of a secondary of the
 * same primary; others get BUSRT_RPC_ACCESS. 0, by default and as the reference: whoever knows the
 * id. At any time. */
int busrt_client_set_cursors_bound(busrt_client *client, int bound);
/* How many have not ended, or -errno. */
ssize_t busrt_client_count_cursors(busrt_client *client);
/* Closes all that this client and its secondaries opened (NULL: everybody), and returns how many
 * those were: for clients that have gone, of which the broker tells on ".broker/info". */
ssize_t busrt_client_close_cursors(busrt_client *client, const char *opener);

/* --- Taking --- */

/*
 * A cursor of another client's, as its items are taken. What the functions below return besides:
 *
 *   0           the end; from then on always
 *   -ESTALE     the server does not know the cursor: it has expired, was cancelled or closed, or
 *               the server is another by now
 *   -ECANCELED  busrt_fetch_cancel() was called
 *   -EREMOTEIO  an error reply, in *error (may be NULL; also filled for -ESTALE)
 *   -ETIMEDOUT, -ECONNRESET, -EIO, -EREMOTE, -ETIME
 *               no reply came, and nobody knows which items went with it
 *   -EBADMSG    the reply is not what it should be
 *
 * After any of these the fetch has failed, and says the same for ever: items are never skipped in
 * silence. An answer that proves that the server did not do anything changes nothing, and the call
 * may be repeated: -EREMOTEIO with BUSRT_RPC_BUSY, -EHOSTUNREACH, -ENOBUFS, -EACCES, and -ENOTCONN,
 * -EAGAIN and -EDEADLK as of busrt_client_call(). A client that came back goes on where it was.
 *
 * A timeout of 0 calls nobody: what is not here is -EAGAIN. While a call of this fetch is under way
 * others are -EBUSY.
 */
typedef struct busrt_fetch busrt_fetch;

/* Calls method of target, which answers with a cursor. methods: what the server calls those that
 * serve it, at least next or next_bulk. -EBADMSG: the reply has no cursor. Others as of
 * busrt_client_call(). Free with busrt_fetch_free(). */
int busrt_fetch_open(busrt_client *client, const char *target, const char *method,
                     const struct iovec *iov, size_t n_iov, const busrt_cursor_methods *methods,
                     uint64_t timeout, busrt_rpc_error *error, busrt_fetch **ret);
/* The same, of a reply that the program has (busrt_client_call_async()): payload is MessagePack,
 * {u: id}, whatever else is in it. It is of no use afterwards. */
int busrt_fetch_new(busrt_client *client, const char *target, const void *payload, size_t len,
                    const busrt_cursor_methods *methods, busrt_fetch **ret);
/* Sends nothing: busrt_fetch_cancel(). No handler is called any more, unless one is being called.
 * NULL is fine. Returns NULL. */
busrt_fetch *busrt_fetch_free(busrt_fetch *fetch);

/* One item: 1, and the payload of *ret is the item. -ENOSYS: the server has no such method. -EBUSY
 * also: items of busrt_fetch_item() are left. */
int busrt_fetch_next(busrt_fetch *fetch, uint64_t timeout, busrt_rpc_error *error,
                     busrt_frame **ret);
/* As many as n, 1 … INT_MAX: their number, and the payload of *ret is the array of them in
 * MessagePack. -ENOSYS and -EBUSY as above. */
int busrt_fetch_next_bulk(busrt_fetch *fetch, size_t n, uint64_t timeout, busrt_rpc_error *error,
                          busrt_frame **ret);

/* How many items one call of the two below brings, where the server has bulks: 1 … INT_MAX, by
 * default 100. */
int busrt_fetch_set_bulk(busrt_fetch *fetch, size_t n);
/* The next item, of those that are here, or of the next bulk: 1, and its bytes, which live until
 * the next call of this function. -EDEADLK and -EAGAIN: see busrt_fetch_more(). */
int busrt_fetch_item(busrt_fetch *fetch, uint64_t timeout, busrt_rpc_error *error,
                     const void **ret_data, size_t *ret_len);

/* Starts fetching the next bulk without waiting, once busrt_fetch_item() with a timeout of 0 says
 * -EAGAIN. The handler is called once, from busrt_client_process(): with the number of items that
 * are here now, 0 at the end, or -errno. -EBUSY: items are left. -ENODATA: the end is known. */
typedef void (*busrt_fetch_handler)(busrt_fetch *fetch, int result, const busrt_rpc_error *error,
                                    void *userdata);
int busrt_fetch_more(busrt_fetch *fetch, uint64_t timeout, busrt_fetch_handler handler,
                     void *userdata);

/* The program wants no more of it, and the server is told, without a reply and without waiting for
 * one, unless the end has come. -ENOSYS: the server has no such method; the cursor will expire.
 * Others as of busrt_client_call0(); whatever it returns, the fetch is -ECANCELED from now on, but
 * for NULL and after fork. A call that is under way ends with that, too. */
int busrt_fetch_cancel(busrt_fetch *fetch);

#ifdef __cplusplus
}
#endif

#endif
