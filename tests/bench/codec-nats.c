/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text protocol of NATS for nats-load: not verbose, so nothing is answered but PING. A client
 * that is asked has a subscription to its name, one that asks has one to its inbox, which is always
 * the same: what the server keeps of a subject's receivers is then there for each message.
 */
#include "codec.h"

#include <stdio.h>
#include <string.h>

#define INBOX "_INBOX."
#define LINE_MAX_SIZE 4096U

static const uint8_t PING_LINE[6] = {'P', 'I', 'N', 'G', '\r', '\n'};
static const uint8_t PONG_LINE[6] = {'P', 'O', 'N', 'G', '\r', '\n'};

static void read_line(struct client *c, char *ret, size_t size)
{
        size_t n = 0;

        do {
                if (n + 1 >= size)
                        fail("%s: a line that is too long", c->name);
                client_read(c, ret + n, 1);
        } while (ret[n++] != '\n');
        ret[n] = '\0';
}

/* Nothing else comes before the PONG: there is no traffic yet. */
static void wait_for_pong(struct client *c)
{
        char line[LINE_MAX_SIZE];

        client_write(c, PING_LINE, sizeof(PING_LINE));
        do {
                read_line(c, line, sizeof(line));
                if (strncmp(line, "PING", 4) == 0)
                        client_write(c, PONG_LINE, sizeof(PONG_LINE));
                else if (strncmp(line, "PONG", 4) != 0 && strncmp(line, "INFO ", 5) != 0)
                        fail("%s: the server said %s", c->name, line);
        } while (strncmp(line, "PONG", 4) != 0);
}

static void nats_open(struct client *c, const char *address, const char *name)
{
        char line[LINE_MAX_SIZE];
        int n;

        client_connect(c, address, name);
        read_line(c, line, sizeof(line));
        if (strncmp(line, "INFO ", 5) != 0)
                fail("%s: not a NATS server", address);
        n = snprintf(
                line, sizeof(line),
                "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\","
                "\"protocol\":0,\"name\":\"%s\"}\r\n",
                name);
        client_write(c, line, (size_t)n);
        wait_for_pong(c);
}

static void subject_of(char ret[HEAD_MAX], const struct path *p)
{
        snprintf(ret, HEAD_MAX, "%s%s", p->route == ROUTE_REPLY ? INBOX : "", p->to);
        for (char *s = ret; *s; s++)
                if (*s == '/')
                        *s = '.';
}

static void nats_receive(struct client *c, const struct path *p)
{
        char subject[HEAD_MAX], line[HEAD_MAX + 16];
        int n;

        subject_of(subject, p);
        n = snprintf(line, sizeof(line), "SUB %s 1\r\n", subject);
        client_write(c, line, (size_t)n);
        wait_for_pong(c);
}

static size_t write_head(uint8_t head[HEAD_MAX], const char *verb, const char *sid,
                         const struct path *p, size_t payload)
{
        bool asks = p->route == ROUTE_REQUEST;
        char subject[HEAD_MAX];
        int n;

        subject_of(subject, p);
        n = snprintf((char *)head, HEAD_MAX, "%s %s %s%s%s%s%zu\r\n", verb, subject, sid,
                     asks ? INBOX : "", asks ? p->from : "", asks ? " " : "", payload);
        if ((size_t)n >= HEAD_MAX)
                fail("%s: subject too long", p->to);
        return (size_t)n;
}

static size_t nats_sent_head(uint8_t head[HEAD_MAX], const struct path *p, size_t payload)
{
        return write_head(head, "PUB", "", p, payload);
}

static size_t nats_arriving_head(uint8_t head[HEAD_MAX], const struct path *p, size_t payload)
{
        return write_head(head, "MSG", "1 ", p, payload);
}

static size_t nats_other(const struct client *c, const uint8_t *data, size_t size, enum event *ret)
{
        const uint8_t *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) + 1 : 0;

        if (n == 0)
                return 0;
        if (n == sizeof(PING_LINE) && memcmp(data, PING_LINE, n) == 0)
                *ret = EVENT_PING;
        else if (n == sizeof(PONG_LINE) && memcmp(data, PONG_LINE, n) == 0)
                *ret = EVENT_BARRIER;
        else if (n >= 5 && memcmp(data, "INFO ", 5) == 0)
                *ret = EVENT_NOTHING;
        else
                fail("%s: not what was expected: %.*s", c->name, (int)n - 1, (const char *)data);
        return n;
}

const struct codec CODEC_NATS = {
        .name = "nats",
        .open = nats_open,
        .receive = nats_receive,
        .sent_head = nats_sent_head,
        .arriving_head = nats_arriving_head,
        .other = nats_other,
        .tail = "\r\n",
        .barrier = PING_LINE,
        .barrier_size = sizeof(PING_LINE),
        .pong = PONG_LINE,
        .pong_size = sizeof(PONG_LINE),
};
