/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordered byte streams: how listeners are made, who is at the other end, and the reads and writes
 * of a worker. No frames here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

enum transport_kind {
        TRANSPORT_INTERNAL, /* no socket: a client inside the broker */
        TRANSPORT_UNIX,
        TRANSPORT_TCP,
        TRANSPORT_FIFO,   /* a listener only */
        TRANSPORT_MEMORY, /* a client in the broker's process */
};

/* The reference's word for it in client.list: "internal", "local_ipc", "tcp". */
const char *transport_kind_name(enum transport_kind kind);

struct transport_address {
        enum transport_kind kind;
        const char *text; /* path, or host:port; points into what was parsed */
};

/* docs/protocol.md, 8: "fifo:PATH"; a path begins with '/' or ends in .sock, .socket or .ipc; ws://
 * and wss:// are -EPROTONOSUPPORT; anything else is host:port. */
int transport_address_parse(const char *text, struct transport_address *ret);

/* All return a listening, non-blocking, close-on-exec fd, or -errno. ret_error (may be NULL) points
 * to a static text that says more than errno does, or is NULL. */
/* A stale socket file is replaced only if nobody listens on it (-EADDRINUSE otherwise). mode: of
 * the file; 0: as the umask has it. */
int transport_listen_unix(const char *path, mode_t mode, const char **ret_error);
/* host:port, [v6]:port; names are resolved. The first of a name's addresses that this machine has
 * is used. */
int transport_listen_tcp(const char *address, const char **ret_error);
/* A named pipe of mode 0622, opened for reading: read(2) gives 0 each time that the last writer has
 * gone. A stale one is replaced (-EADDRINUSE: somebody reads from it). -EEXIST: something else is
 * there. */
int transport_open_fifo(const char *path, const char **ret_error);

/* The next connection: a non-blocking, close-on-exec fd, or -errno: -EAGAIN there is none, -EINVAL,
 * -EBADF and -ENOTSOCK that the listener is over, all else that there can be none now. What is
 * wrong with one connection only is passed over. */
int transport_accept(int fd);
bool transport_accept_is_over(int error);

/* Where an address leads: sockets' names to be tried in order. */
struct transport_target {
        enum transport_kind kind;
        int len;
        union {
                struct sockaddr any;
                struct sockaddr_storage storage;
        } name;
};

#define TRANSPORT_TARGETS_MAX 8

/* The targets of a UNIX or TCP address: their number, at least 1. A host's name is looked up, which
 * may block. -EHOSTUNREACH: it does not resolve. */
int transport_resolve(const struct transport_address *address,
                      struct transport_target ret[TRANSPORT_TARGETS_MAX]);
/* Starts to connect: a non-blocking, close-on-exec fd, which becomes writable when the connection
 * stands or has failed (*ret_pending), or stands already. -EAGAIN: the listener's queue is full
 * (UNIX), try again. */
int transport_connect(const struct transport_target *target, bool *ret_pending);
/* How a pending connection ended: 0, -EINPROGRESS, or why it failed. */
int transport_connected(int fd);
/* A TCP connection whose bytes are not acknowledged for that long is ended by the kernel. */
void transport_give_up_after(int fd, unsigned msec);

struct transport_peer {
        enum transport_kind kind;
        bool has_pid;
        uid_t uid; /* UNIX */
        gid_t gid;
        pid_t pid;
        uint8_t family_bytes; /* TCP: 4 or 16 */
        uint8_t address[16];
        char source[64]; /* TCP: "ip:port", "[ip]:port"; empty for UNIX */
};

/* Who is at the other end of a connected socket. */
int transport_peer_get(int fd, struct transport_peer *ret);
/* The supplementary groups of a UNIX peer when it connected. *ret is the caller's to free, NULL
 * where there are none. -ENOMEM, or another -errno: they cannot be told. */
int transport_peer_groups(int fd, gid_t **ret, size_t *ret_n);
/* A listener's own address as text: its path, "ip:port" or "[ip]:port". */
int transport_local_name(int fd, char *out, size_t size);
/* TCP_NODELAY where it applies. */
void transport_prepare(int fd, enum transport_kind kind);

/* > 0 bytes, 0 at the end of the stream, -EAGAIN, or the connection's error. Never blocks, no
 * SIGPIPE; EINTR is retried. */
ssize_t transport_readv(int fd, struct iovec *iov, size_t n);
ssize_t transport_writev(int fd, struct iovec *iov, size_t n);
/* Has the peer closed its side, though its last bytes may still wait to be read? */
bool transport_peer_hung_up(int fd);
