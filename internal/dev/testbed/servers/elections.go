package main

import (
	"fmt"
	"os"
	"time"
	_ "unsafe" // for go:linkname
)

// electionVar names the environment variable with the shortest time without a
// leader after which a nats-server stands for election. The default of 4s would be
// most of the time of tests of outages. There is no other way to set it.
const electionVar = "FAIRLEAD_TESTBED_NATS_ELECTION"

// The election times of nats-server. Their ratios stay the same.
var (
	//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
	minElectionTimeout time.Duration
	//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
	maxElectionTimeout time.Duration
	//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
	hbInterval time.Duration
	//go:linkname lostQuorumInterval github.com/nats-io/nats-server/v2/server.lostQuorumInterval
	lostQuorumInterval time.Duration
	//go:linkname lostQuorumCheck github.com/nats-io/nats-server/v2/server.lostQuorumCheck
	lostQuorumCheck time.Duration
)

func setElections() error {
	text := os.Getenv(electionVar)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%s is %q; give a duration, for example 1s", electionVar, text)
	}
	if minElectionTimeout != 4*time.Second {
		return fmt.Errorf("the usual time of elections is %v: this version of nats-server is another one", minElectionTimeout)
	}
	for _, v := range []*time.Duration{&maxElectionTimeout, &hbInterval, &lostQuorumInterval, &lostQuorumCheck, &minElectionTimeout} {
		*v = time.Duration(float64(*v) * d.Seconds() / 4)
	}
	return nil
}
