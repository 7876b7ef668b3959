package nats

import (
	"context"
	"runtime"
	"strings"
	"sync"

	natsgo "github.com/nats-io/nats.go"
)

// The largest part of a small call's cost is the broker's work for its two
// messages. So calls of one process that begin at the same time share a message.
// Answers that go back to one process also share a message, where an answer is a
// single packet. No packet waits for others: a goroutine that sends packets takes
// the ones that are queued.

const (
	batchCalls = 16       // more would let one server have what others could
	batchBytes = 32 << 10 // longer packets have a message of their own
	// batchToken begins the last token of the address of a batch. No stream's token
	// begins with it. The tokens of the batch's calls follow it.
	batchToken = "_"
	batchJoint = "-"
)

// outgoing is a packet that may share a message with others.
type outgoing struct {
	s    *stream
	data []byte
}

// outbox gathers the packets of concurrent callers, for each subject or, if they
// are answers, for each process that they go to.
type outbox struct {
	post func(to string, batch []outgoing)
	life context.Context

	start sync.Once
	wake  chan struct{} // holds one

	posting sync.Mutex // held from take to the end of post
	mu      sync.Mutex
	queues  map[string][]outgoing // none is empty
}

func newOutbox(life context.Context, post func(string, []outgoing)) *outbox {
	return &outbox{post: post, life: life, wake: make(chan struct{}, 1), queues: map[string][]outgoing{}}
}

func (o *outbox) add(to string, x outgoing) {
	o.mu.Lock()
	first := len(o.queues) == 0
	o.queues[to] = append(o.queues[to], x)
	o.mu.Unlock()
	if first {
		o.start.Do(func() { go o.run() })
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// run posts the packets that are there, until the provider is closed.
func (o *outbox) run() {
	for {
		select {
		case <-o.life.Done():
			return
		case <-o.wake:
		}
		o.empty()
	}
}

// empty posts the packets that are there, and returns when the connection has
// them.
func (o *outbox) empty() {
	o.posting.Lock()
	defer o.posting.Unlock()
	for {
		runtime.Gosched() // lets the callers that are ready join
		to, batch := o.take()
		if batch == nil {
			return
		}
		o.post(to, batch)
	}
}

// take returns the packets that share the next message.
func (o *outbox) take() (to string, batch []outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for to, queue := range o.queues {
		n, bytes := 0, 0
		for n < min(len(queue), batchCalls) && (n == 0 || bytes+len(queue[n].data) <= batchBytes) {
			bytes += len(queue[n].data)
			n++
		}
		if n == len(queue) {
			delete(o.queues, to)
		} else {
			o.queues[to] = queue[n:]
		}
		return to, queue[:n:n]
	}
	return "", nil
}

// batches reports whether it pays to gather a packet with others.
func (c *carrier) batches(size int) bool { return size <= batchBytes && c.open.Load() > 1 }

// postCalls offers calls to the servers of a service.
func (c *carrier) postCalls(subject string, batch []outgoing) {
	live := batch[:0]
	for _, x := range batch {
		if x.s.takeFromQueue() {
			live = append(live, x)
		}
	}
	if len(live) == 0 {
		return
	}
	m := &natsgo.Msg{Subject: subject, Reply: live[0].s.address, Data: live[0].data}
	if len(live) > 1 {
		room := rooms.Get().(*[]byte)
		defer rooms.Put(room)
		tokens := make([]string, len(live))
		body := appendPacket((*room)[:0], packet{kind: packetBatch})
		for i, x := range live {
			tokens[i] = x.s.token()
			body = appendBytes(body, x.data)
		}
		m.Reply, m.Data, *room = c.prefix+batchToken+strings.Join(tokens, batchJoint), body, body
	}
	if err := c.p.nc.PublishMsg(m); err != nil {
		for _, x := range live {
			x.s.fail(mapErr(err, false))
		}
	}
}

// postAnswers sends answers to a process. The client notices by itself if the
// connection breaks.
func (c *carrier) postAnswers(prefix string, batch []outgoing) {
	first := batch[0].s
	m := &natsgo.Msg{Subject: first.peer, Reply: first.address, Data: batch[0].data}
	if len(batch) > 1 {
		room := rooms.Get().(*[]byte)
		defer rooms.Put(room)
		body := appendPacket((*room)[:0], packet{kind: packetBatch})
		for _, x := range batch {
			body = appendText(body, x.s.peer[len(prefix):])
			body = appendText(body, x.s.token())
			body = appendBytes(body, x.data)
		}
		m.Subject, m.Reply, m.Data, *room = prefix+batchToken, c.prefix+batchToken, body, body
	}
	_ = c.p.nc.PublishMsg(m)
}

// rooms are buffers for batches: the connection copies what it is to send.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// prefixOf returns the common prefix of the addresses of a process.
func prefixOf(address string) string { return address[:strings.LastIndexByte(address, '.')+1] }

// batched returns the addresses of the calls of a batch, from its own.
func batched(address string) (addresses []string, ok bool) {
	prefix := prefixOf(address)
	tokens, ok := strings.CutPrefix(address[len(prefix):], batchToken)
	if !ok {
		return nil, false
	}
	for _, token := range strings.Split(tokens, batchJoint) {
		addresses = append(addresses, prefix+token)
	}
	return addresses, true
}

// receiveBatch takes answers.
func (c *carrier) receiveBatch(m *natsgo.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		// No server took a batch of calls.
		addresses, _ := batched(m.Subject)
		for _, a := range addresses {
			if s := c.find(a[len(c.prefix):]); s != nil {
				s.handleNoResponder()
			}
		}
		return
	}
	k, err := parsePacket(m.Data)
	if err != nil || k.kind != packetBatch || m.Reply == "" {
		return // not of this provider
	}
	from := prefixOf(m.Reply)
	eachAnswer(k.body, func(token, sender, data []byte) { c.deliver(string(token), from+string(sender), data) })
}

// eachAnswer takes a batch of answers apart, as far as it can be read.
func eachAnswer(body []byte, f func(token, sender, data []byte)) {
	for d := (decoder{b: body}); len(d.b) > 0; {
		token, sender, data := d.bytes(), d.bytes(), d.bytes()
		if d.err != nil {
			return
		}
		f(token, sender, data)
	}
}

// receiveCalls takes the calls of a batch.
func (l *listener) receiveCalls(reply string, body []byte) {
	eachCall(reply, body, l.receiveCall)
}

// eachCall takes a batch of calls apart, as far as it can be read.
func eachCall(reply string, body []byte, f func(client string, data []byte)) {
	clients, ok := batched(reply)
	d := decoder{b: body}
	for i := 0; ok && len(d.b) > 0 && i < len(clients); i++ {
		if data := d.bytes(); d.err == nil {
			f(clients[i], data)
		}
	}
}
