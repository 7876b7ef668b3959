package etcd

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"fairlead.dev"
)

const metricsPage = `# HELP etcd_disk_wal_fsync_duration_seconds The latency distributions of fsync called by WAL.
# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 3
etcd_disk_wal_fsync_duration_seconds_sum 0.009
etcd_disk_wal_fsync_duration_seconds_count 7
etcd_disk_wal_write_duration_seconds_count 1.2e+01
etcd_server_id{server_id="ddd67b312462fd7b"} 1
etcd_server_version{server_version="3.7.3"} 1
etcd_server_quota_backend_bytes 2.147483648e+09
etcd_mvcc_db_total_size_in_bytes 2e+09
`

func TestParseSample(t *testing.T) {
	got, err := parseSample(strings.NewReader(metricsPage))
	want := sample{member: 0xddd67b312462fd7b, version: "3.7.3", fsyncs: 7, writes: 12, quota: 1 << 31, size: 2e9}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if !got.isNearlyFull() {
		t.Errorf("%+v is not nearly full", got)
	}
	for _, without := range []string{metricFsyncs, metricWrites, metricID} {
		page := strings.ReplaceAll(metricsPage, without, "other")
		if _, err := parseSample(strings.NewReader(page)); err == nil || !strings.Contains(err.Error(), without) {
			t.Errorf("without %s: %v", without, err)
		}
	}
	if _, err := parseSample(strings.NewReader(strings.Replace(metricsPage, " 7\n", " seven\n", 1))); err == nil {
		t.Error("a metric that is not a number is accepted")
	}
}

func TestVerdicts(t *testing.T) {
	at := func(fsyncs, writes float64) sample { return sample{member: 1, fsyncs: fsyncs, writes: writes} }
	for name, test := range map[string]struct {
		samples       []sample
		known, fsyncs bool
	}{
		"one look":                     {[]sample{at(7, 12)}, false, false},
		"nothing happened":             {[]sample{at(7, 12), at(7, 12)}, false, false},
		"both grow":                    {[]sample{at(7, 12), at(8, 14)}, true, true},
		"it writes and does not sync":  {[]sample{at(2, 12), at(2, 14), at(2, 16), at(2, 18)}, true, false},
		"it never syncs":               {[]sample{at(2, 12), at(2, 14), at(2, 16), at(2, 18), at(2, 20)}, true, false},
		"a sync takes long":            {[]sample{at(2, 12), at(2, 14), at(2, 16), at(2, 16)}, false, false},
		"known, and a sync takes long": {[]sample{at(1, 12), at(2, 14), at(2, 16), at(2, 18)}, true, true},
		"known, and nothing happened":  {[]sample{at(7, 12), at(8, 14), at(8, 14)}, true, true},
		"restarted":                    {[]sample{at(7, 12), at(8, 14), at(2, 20)}, false, false},
		"restarted without syncs":      {[]sample{at(7, 12), at(8, 14), at(2, 20), at(2, 21), at(2, 22), at(2, 23)}, true, false},
		"a sync that was read early":   {[]sample{at(2, 12), at(2, 14), at(3, 14)}, true, true},
	} {
		var v verdict
		for _, s := range test.samples {
			v = v.learn(s)
		}
		if v.known != test.known || v.fsyncs != test.fsyncs {
			t.Errorf("%s: known %t, fsyncs %t; want %t, %t", name, v.known, v.fsyncs, test.known, test.fsyncs)
		}
	}
}

func FuzzParseSample(f *testing.F) {
	f.Add(metricsPage)
	f.Add("etcd_server_id{server_id=\"")
	f.Fuzz(func(t *testing.T, page string) {
		s, err := parseSample(strings.NewReader(page))
		if err != nil && s != (sample{}) {
			t.Errorf("%+v with the error %v", s, err)
		}
	})
}

func FuzzValue(f *testing.F) {
	f.Add([]byte("0123456789"), int64(1))
	f.Add([]byte("0123"), int64(1))
	f.Add([]byte("0123"), int64(0))
	f.Fuzz(func(t *testing.T, stored []byte, lease int64) {
		v, deadline := decodeValue(&mvccpb.KeyValue{Value: stored, Lease: lease})
		ours := lease != 0 && len(stored) >= deadlineBytes && binary.BigEndian.Uint64(stored) <= latestDeadline
		switch {
		case !ours && (string(v) != string(stored) || !deadline.IsZero()):
			t.Errorf("a value that this provider did not write: %q, %v", v, deadline)
		case ours && (string(v) != string(stored[deadlineBytes:]) || deadline.UnixMilli() != int64(binary.BigEndian.Uint64(stored))):
			t.Errorf("the value is %q, until %v", v, deadline)
		}
	})
}

func TestLeaseSeconds(t *testing.T) {
	for ttl, want := range map[time.Duration]int64{
		0: 0, 1: 1, time.Second - 1: 1, time.Second: 1, time.Second + 1: 2,
		math.MaxInt64: math.MaxInt64/int64(time.Second) + 1, fairlead.MaxDuration: int64(fairlead.MaxDuration / time.Second),
	} {
		if got := leaseSeconds(ttl); got != want {
			t.Errorf("%v: %d seconds, want %d", ttl, got, want)
		}
	}
}
