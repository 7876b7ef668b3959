// Command getservers builds the testbed's etcd and nats-server ahead of the
// tests that start them, and prints the program's path.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"fairlead.dev/internal/testbed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := testbed.BuildServers(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
