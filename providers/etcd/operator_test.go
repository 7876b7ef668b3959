package etcd_test

import (
	"context"
	"fmt"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// operator does with requests to etcd what other programs do.
type operator struct{ client *clientv3.Client }

func (o operator) PurgeTopic(ctx context.Context, topic string) error {
	_, err := o.client.Delete(ctx, "fairlead/ps/"+topic+"/message/", clientv3.WithPrefix())
	return err
}

// InsertMessage takes the next number of the topic, as a publisher does.
func (o operator) InsertMessage(ctx context.Context, topic string) error {
	sequence := "fairlead/ps-topics/" + topic
	r, err := o.client.Get(ctx, sequence)
	if err != nil {
		return err
	}
	last, err := strconv.Atoi(string(r.Kvs[0].Value))
	if err != nil {
		return err
	}
	message := fmt.Sprintf("fairlead/ps/%s/message/%020d", topic, last+1)
	_, err = o.client.Txn(ctx).Then(
		clientv3.OpPut(message, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		clientv3.OpPut(sequence, strconv.Itoa(last+1)),
	).Commit()
	return err
}

func (o operator) ReplaceValue(ctx context.Context, store, key string) error {
	_, err := o.client.Put(ctx, "fairlead/kv/"+store+"/"+key, "foreign")
	return err
}
