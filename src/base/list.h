/*
 * An intrusive doubly linked list with a head that is a node itself.
 * A node that is in no list points to itself, so that del is harmless
 * and membership can be asked.
 */
#ifndef SL_BASE_LIST_H
#define SL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list	*next;
	struct list	*prev;
};

/* The struct that holds member at ptr. */
#define container_of(ptr, type, member)					\
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define list_each(pos, head)						\
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

/* The same when the body may take pos out (and nothing else). */
#define list_each_safe(pos, tmp, head)					\
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); \
	    (pos) = (tmp), (tmp) = (pos)->next)

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_is_empty(const struct list *l)
{
	return l->next == l;
}

/* Adds n behind l: at the front when l is a head. */
static inline void
list_add(struct list *l, struct list *n)
{
	n->prev = l;
	n->next = l->next;
	l->next->prev = n;
	l->next = n;
}

/* Adds n before l: at the end when l is a head. */
static inline void
list_add_tail(struct list *l, struct list *n)
{
	list_add(l->prev, n);
}

static inline void
list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#endif
