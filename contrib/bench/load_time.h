/*
 * What the generator knows of time: how long each request took.
 */
#ifndef LOAD_TIME_H
#define LOAD_TIME_H

#include <stdint.h>

/* Nanoseconds of a clock that goes on evenly. */
uint64_t now(void);
/* A request took so many of them. */
void	note(uint64_t ns);
/* Of all that were noted, in microseconds; below 2 % wrong. */
double	quantile(double);
/* The slowest, in nanoseconds. */
uint64_t slowest(void);

#endif
