/* SPDX-License-Identifier: Apache-2.0 */
/* Moments and spans as a person or a program reads them. Moments are microseconds of
 * CLOCK_REALTIME, spans microseconds. */
#pragma once

#include "busrtctl/text.h"

/* Now, as a moment. */
uint64_t now_realtime(void);

#define TEXT_SPAN_MAX 48
/* "350ms", "42s", "3min 2s", "12min", "1d 4h": the largest unit, and the next where that still
 * says something. */
const char *text_span(uint64_t span, char out[TEXT_SPAN_MAX]);
/* "3min 2s ago", "now" */
const char *text_age(uint64_t moment, uint64_t now, char out[TEXT_SPAN_MAX]);

/* "12:00:00.000" */
void text_add_clock(struct text *out, uint64_t moment, bool utc);
/* "Fri 2026-11-27 12:00:00 UTC", in local time */
void text_add_date(struct text *out, uint64_t moment);
/* A string of JSON, of the form 2026-11-27T12:00:00.000000Z */
void text_add_iso(struct text *out, uint64_t moment);
