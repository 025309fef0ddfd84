// returns: a mandatory message that no queue takes comes back, before its confirmation; others are routed as they should be.
package main

import (
	"context"
	"fmt"

	"leveret/clients/broker"

	amqp "github.com/rabbitmq/amqp091-go"
)

const count = 300

func main() {
	connection := broker.Connect()
	channel := broker.Channel(connection)
	returned := channel.NotifyReturn(make(chan amqp.Return, count))
	broker.Must(channel.Confirm(false))
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	broker.Must(err)
	broker.Must(channel.ExchangeDeclare("go.returns", "topic", false, true, false, false, nil))
	broker.Must(channel.QueueBind(queue.Name, "*.taken.#", "go.returns", false, nil))
	deliveries, err := channel.Consume(queue.Name, "", true, true, false, false, nil)
	broker.Must(err)

	keys := []string{"one.taken", "one.left", "one.taken.too"}
	var last *amqp.DeferredConfirmation
	for n := 0; n < count; n++ {
		message := amqp.Publishing{Headers: amqp.Table{"number": int32(n)}, Body: []byte(fmt.Sprint(n))}
		key := keys[n%len(keys)]
		last, err = channel.PublishWithDeferredConfirmWithContext(context.Background(), "go.returns", key, true, false, message)
		broker.Must(err)
	}
	broker.Check(last.Wait(), "the last message was refused")

	for n := 0; n < count; n++ {
		if n%len(keys) != 1 {
			delivery := broker.Receive(deliveries, "a message")
			broker.Check(string(delivery.Body) == fmt.Sprint(n), "delivered %s instead of %d", delivery.Body, n)
			broker.Check(delivery.RoutingKey == keys[n%len(keys)], "delivered with %s", delivery.RoutingKey)
			continue
		}
		back := broker.Receive(returned, "a returned message")
		broker.Check(string(back.Body) == fmt.Sprint(n), "returned %s instead of %d", back.Body, n)
		broker.Check(back.ReplyCode == amqp.NoRoute && back.ReplyText == "NO_ROUTE", "%d %s", back.ReplyCode, back.ReplyText)
		broker.Check(back.Headers["number"] == int32(n), "returned with headers %v", back.Headers)
		broker.Check(back.Exchange == "go.returns" && back.RoutingKey == keys[1], "%s %s", back.Exchange, back.RoutingKey)
	}
	broker.Check(len(returned) == 0 && len(deliveries) == 0, "more than was published")
	broker.Must(connection.Close())
	fmt.Println(count/len(keys), "of", count, "messages came back")
}
