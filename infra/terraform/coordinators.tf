# One coordinator a zone. Its address and its volume outlive its instance: the others know it by the one, and the Raft
# log is on the other.

locals {
  zones        = sort(keys(var.subnets))
  coordinators = { for index, zone in local.zones : zone => index + 1 }
  peers        = join(",", [for zone, number in local.coordinators : "${number}=${local.coordinator_addresses[zone]}"])
  coordinator_addresses = {
    for zone, interface in aws_network_interface.coordinator : zone => "${interface.private_ip}:${local.node_port}"
  }
}

resource "aws_network_interface" "coordinator" {
  for_each        = local.coordinators
  subnet_id       = var.subnets[each.key]
  security_groups = [aws_security_group.node.id, aws_security_group.coordinator.id]
  tags            = { Name = "${var.name}-coordinator-${each.value}" }
}

resource "aws_ebs_volume" "coordinator" {
  for_each          = local.coordinators
  availability_zone = each.key
  type              = "gp3"
  size              = var.coordinator_volume_gib
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  tags              = { Name = "${var.name}-coordinator-${each.value}" }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_volume_attachment" "coordinator" {
  for_each                       = local.coordinators
  device_name                    = local.ebs_device
  volume_id                      = aws_ebs_volume.coordinator[each.key].id
  instance_id                    = aws_instance.coordinator[each.key].id
  stop_instance_before_detaching = true
}

resource "aws_instance" "coordinator" {
  for_each             = local.coordinators
  ami                  = data.aws_ami.node.id
  instance_type        = var.coordinator_instance_type
  iam_instance_profile = aws_iam_instance_profile.node["coordinator-${each.value}"].name
  tags                 = { Name = "${var.name}-coordinator-${each.value}" }

  user_data = templatefile("${path.module}/node.sh.tftpl", merge(local.common_node, {
    role   = "coordinator"
    unit   = file("${path.module}/../systemd/tundra-coordinator.service")
    secret = aws_secretsmanager_secret.certificates["coordinator-${each.value}"].arn
    device = "Amazon_Elastic_Block_Store_${replace(aws_ebs_volume.coordinator[each.key].id, "-", "")}"
    environment = {
      TUNDRA_ID           = each.value
      TUNDRA_PEERS        = local.peers
      TUNDRA_LISTEN       = local.coordinator_addresses[each.key]
      TUNDRA_FLIGHT       = "0.0.0.0:${local.flight_port}"
      TUNDRA_HTTP         = "0.0.0.0:${local.http_port}"
      TUNDRA_OBJECT_STORE = local.object_store
      TUNDRA_OPTIONS      = var.coordinator_options
      AWS_REGION          = var.region
    }
  }))

  network_interface {
    network_interface_id = aws_network_interface.coordinator[each.key].id
    device_index         = 0
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  root_block_device {
    volume_type = "gp3"
    encrypted   = true
    kms_key_id  = var.kms_key_arn
  }

  # All three at once would take the majority: they are replaced one by one, by `terraform apply -replace`.
  lifecycle {
    ignore_changes = [ami, user_data]
  }

  depends_on = [aws_iam_role_policy.node, aws_vpc_endpoint.s3]
}
