/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: of many connections that want one name at the same moment exactly one has it, at every
 * moment. 64 connections write their handshakes in portions of random size, in random order, over
 * and over; between any two passes of the engine a message to the name reaches one of them or,
 * while the name changes hands, nobody.
 */
#include <sys/socket.h>

#include "basic/macro.h"
#include "bystander.h"
#include "random.h"

#define PROCESSED 0x40
#define N_CLIENTS 64

static const uint8_t hello[] = {0xeb, 1, 0, 1, 0, 'x'};

struct contender {
        struct peer peer;
        size_t written, n_got;
        bool ended;
        uint8_t got[16384];
};

struct race {
        struct bed bed;
        struct bystanders bystanders;
        struct peer probe;
        uint32_t n_probes;
        struct contender contenders[N_CLIENTS];
};

static void race_open(struct race *r, bool force)
{
        struct engine_config config;

        bed_config(&config);
        config.force_register = force ? FORCE_REGISTER_ANY : FORCE_REGISTER_NO;
        bed_open(&r->bed, &config);
        bystanders_join(&r->bed, &r->bystanders);
        r->probe = bed_join(&r->bed, "probe");
        r->n_probes = 0;
}

static void race_close(struct race *r)
{
        bystanders_check(&r->bed, &r->bystanders);
        peer_close(&r->probe);
        bystanders_leave(&r->bystanders);
        bed_close(&r->bed);
}

static void contender_write(struct contender *c)
{
        size_t n = 1 + random_below(sizeof(hello));

        n = MIN(n, sizeof(hello) - c->written);
        if (n)
                (void)!send(c->peer.fd, hello + c->written, n, MSG_NOSIGNAL);
        c->written += n;
}

static void contender_read(struct contender *c)
{
        ssize_t n = peer_read(&c->peer, c->got + c->n_got, sizeof(c->got) - c->n_got);

        c->ended |= n < 0;
        c->n_got += n > 0 ? (size_t)n : 0;
        assert_true(c->n_got < sizeof(c->got));
}

/* What the contender was told: WIRE_OK, a code of refusal, or 0 for nothing yet. */
static uint8_t contender_code(const struct contender *c)
{
        return c->n_got >= 5 ? c->got[4] : 0;
}

/* How many of its deliveries are the message of that number. */
static unsigned contender_has(const struct contender *c, uint32_t number)
{
        unsigned n = 0;

        for (size_t at = 5; at + WIRE_DELIVERY_HEADER_SIZE <= c->n_got;
             at += wire_delivery_size(c->got + at))
                if (c->got[at] == WIRE_KIND_MESSAGE)
                        n += le32_get(c->got + at + 12) == number;
        return n;
}

/* Sends one message to the name: acknowledged with `ok` to one, or refused and to nobody. */
static bool race_probe(struct race *r)
{
        uint8_t body[] = "x\0....", ack[6];
        uint32_t number = ++r->n_probes;
        unsigned n = 0;

        le32_put(body + 2, number);
        peer_send(&r->probe, WIRE_OP_MESSAGE | PROCESSED, body, 6);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(engine_process(r->bed.engine), 0);
        assert_int_equal(peer_read(&r->probe, ack, sizeof(ack)), sizeof(ack));
        for (size_t i = 0; i < N_CLIENTS; i++) {
                contender_read(&r->contenders[i]);
                n += contender_has(&r->contenders[i], number);
        }
        assert_true(ack[5] == WIRE_OK || ack[5] == WIRE_NOT_REGISTERED);
        assert_int_equal(n, ack[5] == WIRE_OK ? 1 : 0);
        assert_true(bed_counters(&r->bed).clients <= 4);
        return ack[5] == WIRE_OK;
}

static bool all_are_told(void *userdata)
{
        struct race *r = userdata;
        bool told = true;

        for (size_t i = 0; i < N_CLIENTS; i++) {
                contender_read(&r->contenders[i]);
                told &= contender_code(&r->contenders[i]) != 0 || r->contenders[i].ended;
        }
        return told;
}

static void race_run(struct race *r)
{
        size_t left = N_CLIENTS;

        for (size_t i = 0; i < N_CLIENTS; i++)
                r->contenders[i] = (struct contender){.peer = bed_connect(&r->bed, 1000)};
        while (left > 0) {
                for (unsigned i = random_below(12); i > 0; i--) {
                        struct contender *c = &r->contenders[random_below(N_CLIENTS)];
                        bool had = c->written < sizeof(hello);

                        contender_write(c);
                        left -= had && c->written == sizeof(hello);
                }
                (void)race_probe(r);
        }
        bed_until(&r->bed, all_are_told, r);
}

static void race_disperse(struct race *r)
{
        for (size_t i = 0; i < N_CLIENTS; i++)
                peer_close(&r->contenders[i].peer);
        bed_settle(&r->bed);
        assert_false(race_probe(r));
        assert_int_equal(bed_counters(&r->bed).sessions, 3);
}

static size_t count(const struct race *r, uint8_t code, bool ended)
{
        size_t n = 0;

        for (size_t i = 0; i < N_CLIENTS; i++)
                n += contender_code(&r->contenders[i]) == code && r->contenders[i].ended == ended;
        return n;
}

/* The first has it; all others are told that it is taken. When the owner leaves, the next gets it.
 */
static void one_gets_the_name_and_keeps_it(void **state)
{
        static struct race r;

        race_open(&r, false);
        for (unsigned round = 0; round < 50; round++) {
                race_run(&r);
                assert_int_equal(count(&r, WIRE_OK, false), 1);
                assert_int_equal(count(&r, WIRE_BUSY, true), N_CLIENTS - 1);
                assert_true(race_probe(&r));
                race_disperse(&r);
        }
        race_close(&r);
}

/* With force-register each takes over from the one before; the last has it. */
static void the_last_takes_the_name_over(void **state)
{
        static struct race r;

        race_open(&r, true);
        for (unsigned round = 0; round < 50; round++) {
                race_run(&r);
                assert_int_equal(count(&r, WIRE_OK, false), 1);
                assert_int_equal(count(&r, WIRE_OK, true), N_CLIENTS - 1);
                assert_true(race_probe(&r));
                race_disperse(&r);
        }
        race_close(&r);
}

/* Each owner closes its connection just before the next asks for the name: it is never refused. */
static void the_name_comes_back_at_once(void **state)
{
        static struct race r;

        race_open(&r, false);
        for (unsigned round = 0; round < 1000; round++) {
                struct peer p = bed_connect(&r.bed, 1000);

                if (round > 0)
                        peer_close(&r.contenders[(round - 1) % 2].peer);
                peer_write(&p, hello, sizeof(hello));
                r.contenders[round % 2] = (struct contender){.peer = p};
                while (contender_code(&r.contenders[round % 2]) == 0) {
                        bed_settle(&r.bed);
                        contender_read(&r.contenders[round % 2]);
                }
                assert_int_equal(contender_code(&r.contenders[round % 2]), WIRE_OK);
        }
        peer_close(&r.contenders[999 % 2].peer);
        bed_settle(&r.bed);
        race_close(&r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_gets_the_name_and_keeps_it),
                cmocka_unit_test(the_last_takes_the_name_over),
                cmocka_unit_test(the_name_comes_back_at_once),
        };

        random_seed("takeover");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
