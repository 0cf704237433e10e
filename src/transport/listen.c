/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How listeners are made. Files that a dead broker left behind are replaced, those of a living one
 * never: whoever looks and replaces holds a lock on the directory, so that two brokers that start
 * at once do not both find the file stale.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "transport/address.h"
#include "transport/transport.h"

#define LOCK_ATTEMPTS 50
#define LOCK_PAUSE (10 * NSEC_PER_MSEC)
#define FIFO_MODE 0622

static int fail(int error, const char *text, const char **ret_error)
{
        if (ret_error)
                *ret_error = text;
        return error;
}

/* The lock of the directory that the file is in: the fd that holds it, or -1 where there is none to
 * be had (a directory that may not be read; a stranger who holds the lock of /tmp): then it goes
 * without. */
static int lock_directory(const char *path)
{
        const struct timespec pause = {.tv_nsec = (long)LOCK_PAUSE};
        _cleanup_close_ int fd = -1;
        char copy[PATH_MAX];

        if (strlen(path) >= sizeof(copy))
                return -1;
        memcpy(copy, path, strlen(path) + 1);
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (unsigned i = 0; fd >= 0 && i < LOCK_ATTEMPTS; i++) {
                if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                        return TAKE_FD(fd);
                (void)nanosleep(&pause, NULL);
        }
        return -1;
}

/* Is anybody there? Only a refused connection proves that there is not. */
static int unix_probe(const struct sockaddr_un *sa, const char **ret_error)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
                return fail(-EADDRINUSE, "a program listens there already", ret_error);
        if (errno == ECONNREFUSED || errno == ENOENT)
                return 0;
        return fail(-EADDRINUSE, "there is a socket that cannot be tried", ret_error);
}

static int unix_remove_stale(const char *path, const struct sockaddr_un *sa, const char **ret_error)
{
        struct stat st;
        int r;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return fail(-EEXIST, "something that is not a socket is there", ret_error);
        r = unix_probe(sa, ret_error);
        if (r < 0)
                return r;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int unix_bind(int fd, const char *path, const struct sockaddr_un *sa, const char **ret_error)
{
        int r;

        if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0)
                return 0;
        if (errno == ENOENT)
                return fail(-ENOENT, "its directory does not exist", ret_error);
        if (errno != EADDRINUSE)
                return -errno;
        r = unix_remove_stale(path, sa, ret_error);
        if (r < 0)
                return r;
        return bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;
}

int transport_listen_unix(const char *path, mode_t mode, const char **ret_error)
{
        _cleanup_close_ int fd = -1, lock = -1;
        struct sockaddr_un sa;
        int r;

        fail(0, NULL, ret_error);
        r = address_unix(path, &sa);
        if (r < 0)
                return fail(r, "the path of a UNIX socket has at most 107 bytes", ret_error);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        lock = lock_directory(path);
        r = unix_bind(fd, path, &sa, ret_error);
        if (r < 0)
                return r;
        if ((mode && chmod(path, mode) < 0) || listen(fd, SOMAXCONN) < 0) {
                r = -errno;
                (void)unlink(path);
                return r;
        }
        return TAKE_FD(fd);
}

static int tcp_listen_one(const struct addrinfo *ai)
{
        _cleanup_close_ int fd =
                socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int resolve(const char *address, struct addrinfo **ret, const char **ret_error)
{
        const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                       .ai_family = AF_UNSPEC,
                                       .ai_socktype = SOCK_STREAM};
        char host[NI_MAXHOST], port[6];
        int r;

        r = address_split(address, host, port);
        if (r < 0)
                return fail(r, "not an address: host:port or [v6]:port is wanted", ret_error);
        r = getaddrinfo(host, port, &hints, ret);
        if (r == EAI_SYSTEM)
                return -errno;
        if (r != 0)
                return fail(-EADDRNOTAVAIL, gai_strerror(r), ret_error);
        return 0;
}

int transport_listen_tcp(const char *address, const char **ret_error)
{
        struct addrinfo *list = NULL;
        int fd;

        fail(0, NULL, ret_error);
        fd = resolve(address, &list, ret_error);
        if (fd < 0)
                return fd;
        fd = -EADDRNOTAVAIL;
        for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
                fd = tcp_listen_one(ai);
                /* A family that this machine does not have is passed over. Anything else is the
                 * answer: with one of a name's addresses taken, clients of that name would meet two
                 * brokers. */
                if (fd != -EADDRNOTAVAIL && fd != -EAFNOSUPPORT)
                        break;
        }
        freeaddrinfo(list);
        return fd;
}

/* A writer can open a pipe that nobody reads from only if it does not mind to wait. */
static int fifo_remove_stale(const char *path, const char **ret_error)
{
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISFIFO(st.st_mode))
                return fail(-EEXIST, "something that is not a FIFO is there", ret_error);
        fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0)
                return fail(-EADDRINUSE, "a program reads from it already", ret_error);
        if (errno != ENXIO && errno != ENOENT)
                return -errno;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int fifo_make(const char *path, const char **ret_error)
{
        int r;

        if (mkfifo(path, 0600) == 0)
                return 0;
        if (errno == ENOENT)
                return fail(-ENOENT, "its directory does not exist", ret_error);
        if (errno != EEXIST)
                return -errno;
        r = fifo_remove_stale(path, ret_error);
        if (r < 0)
                return r;
        return mkfifo(path, 0600) < 0 ? -errno : 0;
}

int transport_open_fifo(const char *path, const char **ret_error)
{
        _cleanup_close_ int fd = -1, lock = -1;
        struct stat st;
        int r;

        fail(0, NULL, ret_error);
        lock = lock_directory(path);
        r = fifo_make(path, ret_error);
        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) < 0 || fchmod(fd, FIFO_MODE) < 0)
                return -errno;
        if (!S_ISFIFO(st.st_mode))
                return fail(-EEXIST, "something that is not a FIFO is there", ret_error);
        return TAKE_FD(fd);
}

/* Errors that belong to the connection that was to be accepted, not to the listener: accept(2). */
static bool is_transient(int error)
{
        switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH:
        case EPERM:
                return true;
        default:
                return false;
        }
}

int transport_accept(int fd)
{
        int r;

        do
                r = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        while (r < 0 && is_transient(errno));
        return r < 0 ? -errno : r;
}

/* Somebody who shares the socket has shut it down, say. */
bool transport_accept_is_over(int error)
{
        return error == -EINVAL || error == -EBADF || error == -ENOTSOCK;
}
