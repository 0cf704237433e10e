/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end: the kernel's word for it (SO_PEERCRED, getpeername), never the peer's
 * own. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "basic/macro.h"
#include "transport/address.h"
#include "transport/transport.h"

static int peer_get_unix(int fd, struct transport_peer *ret)
{
        struct ucred cred;
        socklen_t len = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
                return -errno;
        *ret = (struct transport_peer){.kind = TRANSPORT_UNIX,
                                       .has_pid = cred.pid > 0,
                                       .uid = cred.uid,
                                       .gid = cred.gid,
                                       .pid = cred.pid};
        return 0;
}

static int peer_get_inet(const struct sockaddr *sa, socklen_t len, struct transport_peer *ret)
{
        struct transport_peer peer = {.kind = TRANSPORT_TCP, .uid = (uid_t)-1, .gid = (gid_t)-1};

        if (sa->sa_family == AF_INET) {
                peer.family_bytes = 4;
                memcpy(peer.address, &((const struct sockaddr_in *)sa)->sin_addr, 4);
        } else {
                peer.family_bytes = 16;
                memcpy(peer.address, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
        }
        address_format(sa, len, peer.source, sizeof(peer.source));
        *ret = peer;
        return 0;
}

int transport_peer_get(int fd, struct transport_peer *ret)
{
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);

        if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
                return -errno;
        if (ss.ss_family == AF_UNIX)
                return peer_get_unix(fd, ret);
        if (ss.ss_family == AF_INET || ss.ss_family == AF_INET6)
                return peer_get_inet((const struct sockaddr *)&ss, len, ret);
        return -EAFNOSUPPORT;
}

/* The kernel says how many bytes it wants where there is too little room. */
int transport_peer_groups(int fd, gid_t **ret, size_t *ret_n)
{
        _cleanup_free_ gid_t *groups = NULL;
        socklen_t len = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE)
                return -errno;
        if (len > 0) {
                groups = malloc(len);
                if (!groups)
                        return -ENOMEM;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
                        return -errno;
        }
        *ret = TAKE_PTR(groups);
        *ret_n = len / sizeof(gid_t);
        return 0;
}

int transport_local_name(int fd, char *out, size_t size)
{
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);

        if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
                return -errno;
        address_format((const struct sockaddr *)&ss, len, out, size);
        return 0;
}

void transport_prepare(int fd, enum transport_kind kind)
{
        int on = 1;

        if (kind == TRANSPORT_TCP)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

bool transport_peer_hung_up(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLRDHUP};

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}
