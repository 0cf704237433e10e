/* SPDX-License-Identifier: Apache-2.0 */
/* The connecting side: an address becomes socket names, and one of them a connection, without
 * waiting. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "basic/macro.h"
#include "transport/address.h"
#include "transport/transport.h"

static int resolve_unix(const char *path, struct transport_target *ret)
{
        struct transport_target target = {TRANSPORT_UNIX, .len = sizeof(struct sockaddr_un)};
        struct sockaddr_un name;
        int r = address_unix(path, &name);

        if (r < 0)
                return r;
        memcpy(&target.name.storage, &name, sizeof(name));
        *ret = target;
        return 1;
}

static int resolver_errno(int error)
{
        switch (error) {
        case EAI_MEMORY:
                return -ENOMEM;
        case EAI_SYSTEM:
                return errno ? -errno : -EIO;
        default:
                return -EHOSTUNREACH;
        }
}

static void freeaddrinfop(struct addrinfo **list)
{
        if (*list)
                freeaddrinfo(*list);
}

static int resolve_tcp(const char *text, struct transport_target *ret)
{
        static const struct addrinfo hints = {
                .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
        _cleanup_(freeaddrinfop) struct addrinfo *list = NULL;
        char host[NI_MAXHOST], port[6];
        int n = 0, r = address_split(text, host, port);

        if (r < 0)
                return r;
        r = getaddrinfo(host, port, &hints, &list);
        if (r != 0)
                return resolver_errno(r);
        for (const struct addrinfo *i = list; i && n < TRANSPORT_TARGETS_MAX; i = i->ai_next) {
                if (i->ai_addrlen > sizeof(ret->name.storage))
                        continue;
                ret[n] = (struct transport_target){TRANSPORT_TCP, .len = (int)i->ai_addrlen};
                memcpy(&ret[n++].name.storage, i->ai_addr, i->ai_addrlen);
        }
        return n > 0 ? n : -EHOSTUNREACH;
}

int transport_resolve(const struct transport_address *address,
                      struct transport_target ret[TRANSPORT_TARGETS_MAX])
{
        switch (address->kind) {
        case TRANSPORT_UNIX:
                return resolve_unix(address->text, ret);
        case TRANSPORT_TCP:
                return resolve_tcp(address->text, ret);
        default:
                return -EPROTONOSUPPORT;
        }
}

int transport_connect(const struct transport_target *target, bool *ret_pending)
{
        _cleanup_close_ int fd =
                socket(target->name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool pending = false;

        if (fd < 0)
                return -errno;
        transport_prepare(fd, target->kind);
        if (connect(fd, &target->name.any, (socklen_t)target->len) < 0) {
                /* An interrupted one goes on by itself, too. */
                if (errno != EINPROGRESS && errno != EINTR)
                        return -errno;
                pending = true;
        }
        *ret_pending = pending;
        return TAKE_FD(fd);
}

int transport_connected(int fd)
{
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
        int error = 0;
        socklen_t len = sizeof(error);

        /* While it is pending there is no error, either. */
        if (poll(&poll_fd, 1, 0) == 0)
                return -EINPROGRESS;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                return -errno;
        return -error;
}

void transport_give_up_after(int fd, unsigned msec)
{
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &msec, sizeof(msec));
}
