package rabbit

import (
	"errors"
	"maps"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// bindings remembers the queues of groups that this process has bound to an
// exchange. A broker that is killed may lose its latest binding, while the
// exchange and the queue still exist. Messages that are published then reach no
// queue, until the group's consumer returns. A publisher may be faster, so it
// binds the queues again. A queue is remembered as long as the provider is open,
// since it outlives its consumers.
type bindings struct {
	mu     sync.Mutex
	queues map[string]map[string]bool // by exchange
}

func (b *bindings) add(exchange, queue string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues == nil {
		b.queues = map[string]map[string]bool{}
	}
	if b.queues[exchange] == nil {
		b.queues[exchange] = map[string]bool{}
	}
	b.queues[exchange][queue] = true
}

func (b *bindings) queuesOf(exchange string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.queues[exchange]))
}

func (b *bindings) remove(exchange, queue string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.queues[exchange], queue)
}

// rebind binds the queues of an exchange again. A queue that does not exist was
// deleted by an operator, and is removed.
func (b *bindings) rebind(conn *amqp.Connection, exchange string) error {
	for _, queue := range b.queuesOf(exchange) {
		err := bind(conn, exchange, queue)
		var e *amqp.Error
		if errors.As(err, &e) && e.Code == amqp.NotFound {
			b.remove(exchange, queue)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func bind(conn *amqp.Connection, exchange, queue string) error {
	return onChannel(conn, func(ch *amqp.Channel) error { return ch.QueueBind(queue, "", exchange, false, nil) })
}
