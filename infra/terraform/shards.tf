# A group of shards a zone. A shard's disk is a cache: a new instance is a new shard, and reads what it is dealt.

resource "aws_launch_template" "shard" {
  name_prefix            = "${var.name}-shard-"
  image_id               = data.aws_ami.node.id
  instance_type          = var.shard_instance_type
  vpc_security_group_ids = [aws_security_group.node.id]
  update_default_version = true

  user_data = base64encode(templatefile("${path.module}/node.sh.tftpl", merge(local.common_node, {
    role   = "shard"
    unit   = file("${path.module}/../systemd/tundra-shard.service")
    secret = aws_secretsmanager_secret.certificates["shard"].arn
    device = var.shard_volume == null ? "Amazon_EC2_NVMe_Instance_Storage_AWS" : "Amazon_Elastic_Block_Store_vol"
    environment = {
      TUNDRA_COORDINATORS = join(",", values(local.coordinator_addresses))
      TUNDRA_LISTEN       = "@ADDRESS@:${local.node_port}"
      TUNDRA_MEMORY       = var.shard_memory
      TUNDRA_OPTIONS      = ""
      AWS_REGION          = var.region
    }
  })))

  iam_instance_profile {
    name = aws_iam_instance_profile.node["shard"].name
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  block_device_mappings {
    device_name = data.aws_ami.node.root_device_name
    ebs {
      volume_type = "gp3"
      encrypted   = true
      kms_key_id  = var.kms_key_arn
    }
  }

  dynamic "block_device_mappings" {
    for_each = var.shard_volume == null ? [] : [var.shard_volume]
    content {
      device_name = local.ebs_device
      ebs {
        volume_type           = "gp3"
        volume_size           = block_device_mappings.value.gib
        iops                  = block_device_mappings.value.iops
        throughput            = block_device_mappings.value.mib_per_second
        encrypted             = true
        kms_key_id            = var.kms_key_arn
        delete_on_termination = true
      }
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${var.name}-shard" }
  }
}

# A new launch template takes effect where an instance is replaced, which is done one at a time: nothing drains a shard.
resource "aws_autoscaling_group" "shard" {
  for_each            = var.subnets
  name                = "${var.name}-shard-${each.key}"
  vpc_zone_identifier = [each.value]
  min_size            = var.shards_per_zone
  max_size            = var.shards_per_zone
  health_check_type   = "EC2"

  launch_template {
    id      = aws_launch_template.shard.id
    version = aws_launch_template.shard.latest_version
  }

  depends_on = [aws_instance.coordinator, aws_iam_role_policy.node, aws_vpc_endpoint.s3]
}
