// Command quickstart counts its runs in a kv store, and sends itself a message
// over a topic, on the backend that the URL names:
//
//	go run ./examples/quickstart mem://
//	go run ./examples/quickstart redis://127.0.0.1:6379
//	go run ./examples/quickstart dapr://127.0.0.1:50001
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	_ "fairlead.dev/providers/gocloud"
	_ "fairlead.dev/providers/memory"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/pubsub"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: quickstart URL")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var opened fairlead.Closers
	defer func() { err = errors.Join(err, opened.CloseWithin(10*time.Second)) }()
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return err
	}
	opened.Add(p)
	n, err := count(ctx, p, &opened)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "run %d\n", n)
	text, err := send(ctx, p, &opened, fmt.Sprintf("run %d has counted", n))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "received: %s\n", text)
	return nil
}

// count adds one to a counter that other programs may also change.
func count(ctx context.Context, p fairlead.Provider, opened *fairlead.Closers) (int, error) {
	runs, err := kv.Open(ctx, p, "quickstart", kv.Require(kv.CAS))
	if err != nil {
		return 0, err
	}
	opened.Add(runs)
	entry, err := runs.Update(ctx, "runs", func(before kv.Entry) ([]byte, error) {
		if !before.Exists() {
			return []byte("1"), nil
		}
		n, err := strconv.Atoi(string(before.Value))
		return []byte(strconv.Itoa(n + 1)), err
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(entry.Value))
}

// send publishes a text, and returns the text that it receives.
func send(ctx context.Context, p fairlead.Provider, opened *fairlead.Closers, text string) (string, error) {
	sub, err := pubsub.Subscribe(ctx, p, "quickstart", pubsub.Group("quickstart"))
	if err != nil {
		return "", err
	}
	opened.Add(sub)
	topic, err := pubsub.Open(ctx, p, "quickstart")
	if err != nil {
		return "", err
	}
	opened.Add(topic)
	if _, err := topic.Publish(ctx, pubsub.Message{Body: []byte(text)}); err != nil {
		return "", err
	}
	d, err := sub.Receive(ctx)
	if err != nil {
		return "", err
	}
	return string(d.Body), d.Ack(ctx)
}
