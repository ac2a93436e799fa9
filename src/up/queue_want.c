/*
 * What room a waiter has a use for: that of any server that it has not
 * asked, or of one alone, as a sticky session says.  Workers.
 */
#include "up/queue.h"

#include "up/breaker.h"
#include "up/pool.h"

bool
queue_has_room(struct upstream *up, const struct tried *tried)
{
	const struct pick	 p = { .tried = tried };

	view_refresh(up);
	for (size_t i = 0; i < up->view.n; i++)
		if (view_takes(up, up->view.v[i], &p))
			return true;
	return breaker_has_room(up, &p);
}

void
queue_want(struct queue_wait *w, struct server *s)
{
	if (s == w->want)
		return;
	if (w->want != NULL) {
		w->upstream->nwant--;
		w->want->nwant--;
		server_unref(&w->want);
	}
	if (s == NULL)
		return;
	w->want = server_ref(s);
	w->want->nwant++;
	w->upstream->nwant++;
}

/* It may be another one than before: states and members change. */
void
queue_look_for(struct queue_wait *w)
{
	queue_want(w, w->wants != NULL ? w->wants(w) : NULL);
}

bool
queue_has_room_for(const struct queue_wait *w)
{
	return w->want != NULL ? pool_room(w->want) > 0 :
	    queue_has_room(w->upstream, w->tried);
}
