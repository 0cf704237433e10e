/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "basic/macro.h"
#include "transport/address.h"
#include "transport/transport.h"

const char *transport_kind_name(enum transport_kind kind)
{
        static const char *const names[] = {
                [TRANSPORT_INTERNAL] = "internal", [TRANSPORT_UNIX] = "local_ipc",
                [TRANSPORT_TCP] = "tcp",           [TRANSPORT_FIFO] = "fifo",
                [TRANSPORT_MEMORY] = "internal",
        };

        return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

static bool has_prefix(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool has_suffix(const char *text, const char *suffix)
{
        size_t n = strlen(text), m = strlen(suffix);

        return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

static bool is_unix_path(const char *text)
{
        return text[0] == '/' || has_suffix(text, ".sock") || has_suffix(text, ".socket") ||
               has_suffix(text, ".ipc");
}

int transport_address_parse(const char *text, struct transport_address *ret)
{
        char host[NI_MAXHOST], port[6];
        int r;

        if (has_prefix(text, "fifo:")) {
                if (text[5] == '\0')
                        return -EINVAL;
                *ret = (struct transport_address){TRANSPORT_FIFO, text + 5};
                return 0;
        }
        if (has_prefix(text, "ws://") || has_prefix(text, "wss://"))
                return -EPROTONOSUPPORT;
        if (is_unix_path(text)) {
                *ret = (struct transport_address){TRANSPORT_UNIX, text};
                return 0;
        }
        r = address_split(text, host, port);
        if (r < 0)
                return r;
        *ret = (struct transport_address){TRANSPORT_TCP, text};
        return 0;
}

int address_unix(const char *path, struct sockaddr_un *ret)
{
        size_t n = strlen(path);

        if (n >= sizeof(ret->sun_path))
                return -ENAMETOOLONG;
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(ret->sun_path, path, n + 1);
        return 0;
}

/* One to five digits, at most 65535. */
static bool port_is_valid(const char *port)
{
        unsigned value = 0;
        size_t n = 0;

        for (; port[n] >= '0' && port[n] <= '9' && n < 6; n++)
                value = value * 10 + (unsigned)(port[n] - '0');
        return n > 0 && n < 6 && port[n] == '\0' && value <= 65535;
}

int address_split(const char *text, char host[NI_MAXHOST], char port[6])
{
        const char *colon = strrchr(text, ':'), *start = text, *end = colon;

        if (!colon || !port_is_valid(colon + 1))
                return -EINVAL;
        if (text[0] == '[') {
                if (colon == text || colon[-1] != ']')
                        return -EINVAL;
                start = text + 1;
                end = colon - 1;
        } else if (memchr(text, ':', (size_t)(colon - text)))
                return -EINVAL; /* IPv6 without brackets: where would the port begin? */
        if (end <= start || end - start >= NI_MAXHOST)
                return -EINVAL;
        memcpy(host, start, (size_t)(end - start));
        host[end - start] = '\0';
        memcpy(port, colon + 1, strlen(colon + 1) + 1);
        return 0;
}

static void format_ipv6(const struct sockaddr_in6 *sa, char *out, size_t size)
{
        char ip[INET6_ADDRSTRLEN], scope[16] = "";

        if (sa->sin6_scope_id)
                (void)snprintf(scope, sizeof(scope), "%%%u", sa->sin6_scope_id);
        inet_ntop(AF_INET6, &sa->sin6_addr, ip, sizeof(ip));
        (void)snprintf(out, size, "[%s%s]:%u", ip, scope, ntohs(sa->sin6_port));
}

static void format_ipv4(const struct sockaddr_in *sa, char *out, size_t size)
{
        char ip[INET_ADDRSTRLEN];

        inet_ntop(AF_INET, &sa->sin_addr, ip, sizeof(ip));
        (void)snprintf(out, size, "%s:%u", ip, ntohs(sa->sin_port));
}

static void format_unix(const struct sockaddr_un *sa, socklen_t len, char *out, size_t size)
{
        size_t n = len > offsetof(struct sockaddr_un, sun_path)
                           ? len - offsetof(struct sockaddr_un, sun_path)
                           : 0;

        if (n > 0 && sa->sun_path[0] == '\0') /* abstract */
                (void)snprintf(out, size, "@%.*s", (int)n - 1, sa->sun_path + 1);
        else
                (void)snprintf(out, size, "%.*s", (int)n, n ? sa->sun_path : "");
}

void address_format(const struct sockaddr *sa, socklen_t len, char *out, size_t size)
{
        if (sa->sa_family == AF_INET)
                format_ipv4((const struct sockaddr_in *)sa, out, size);
        else if (sa->sa_family == AF_INET6)
                format_ipv6((const struct sockaddr_in6 *)sa, out, size);
        else if (sa->sa_family == AF_UNIX)
                format_unix((const struct sockaddr_un *)sa, len, out, size);
        else
                out[0] = '\0';
}
