package rabbit

import (
	"errors"
	"maps"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// bindings remembers which queues of groups this process has bound to an
// exchange. A broker that is killed may forget the binding that it made last,
// while the exchange and the queue are still there; what is published then
// reaches no queue, until the group's consumer comes back. So that the
// publisher, who may be quicker, does not lose it, it binds them again. A queue
// is remembered as long as the provider is open, since it outlives its consumers.
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

func (b *bindings) of(exchange string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.queues[exchange]))
}

func (b *bindings) remove(exchange, queue string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.queues[exchange], queue)
}

// restore binds them again. A queue that is gone was deleted by an operator,
// and stays so.
func (b *bindings) restore(conn *amqp.Connection, exchange string) error {
	for _, queue := range b.of(exchange) {
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
