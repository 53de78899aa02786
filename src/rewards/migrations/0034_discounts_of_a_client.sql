-- Staff look at what one client has agreed on, over all products.

CREATE INDEX client_discounts_client_idx ON client_discounts (client_id, product_id);
